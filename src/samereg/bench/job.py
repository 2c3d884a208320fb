"""One job, a method on a pair: registers, evaluates and writes the record."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from samereg._version import __version__
from samereg.app.plain import Plain, to_plain
from samereg.app.record import describe_device, named_settings, sha256_of
from samereg.app.scans import read_scan
from samereg.bench.dataset import Case, Dataset, Scan
from samereg.bench.landmarks import read_landmarks
from samereg.bench.memory import peak_memory_gb, reset_peak_memory
from samereg.bench.methods import BaselineMethod, BenchMethod
from samereg.bench.record import CaseRecord, Timing, record_path, transform_path, write_record
from samereg.bench.scores import (
    LabelScore,
    Scores,
    mean_of,
    require_measured,
    score_field,
    score_labels,
    score_landmarks,
    score_lesions,
)
from samereg.bench.worker import MethodResult, Worker
from samereg.errors import MissingPackageError, NoOverlapError, SameregError, WeightsError
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.io.images import read_labels_of
from samereg.io.transforms import write_transform

SCORING = 1
"""Version of the scores; incremented when their meaning changes, so that earlier records are recomputed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """Version and settings of a method on this computer.

    Attributes:
        version: of the software behind it.
        settings: of the method.
        missing: why it cannot run here; empty if it can.
    """

    version: str = ""
    settings: Plain = None
    missing: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One method on one pair.

    Attributes:
        method: registration method.
        described: its description on this computer.
        case: the pair.
        dataset: what the labels are called; its cases are not looked at.
        run: folder of the run.
        key: of everything that the result depends on.
    """

    method: BenchMethod
    described: Description
    case: Case
    dataset: Dataset
    run: Path
    key: str

    @property
    def path(self) -> Path:
        """Path of its record."""
        return record_path(self.run, self.method.name, self.case.task, self.case.name)

    @property
    def alone(self) -> bool:
        """Foreign libraries disturb nobody in a process of their own, and its largest memory is theirs alone."""
        return isinstance(self.method, BaselineMethod) and self.method.alone

    def perform(self, worker: Worker) -> None:
        """Registers, evaluates, and writes transform and record; an error is recorded as a failure with its message."""
        try:
            write_record(_done(self, worker), self.path)
        except SameregError as error:
            write_record(self.record("failed", str(error)), self.path)

    def absolute(self) -> "Job":
        """The job with absolute paths."""

        def whole(path: Path | None) -> Path | None:
            return path.absolute() if path is not None else None

        scans = [
            replace(
                scan,
                image=scan.image.absolute(),
                labels=whole(scan.labels),
                landmarks=whole(scan.landmarks),
                lesions=whole(scan.lesions),
            )
            for scan in (self.case.fixed, self.case.moving)
        ]
        return replace(self, run=self.run.absolute(), case=replace(self.case, fixed=scans[0], moving=scans[1]))

    def record(self, status: Literal["done", "failed", "unavailable"], reason: str = "") -> CaseRecord:
        """Its record so far."""
        return CaseRecord(
            method=self.method.name,
            title=self.method.title,
            task=self.case.task,
            fixed=self.case.fixed.name,
            moving=self.case.moving.name,
            status=status,
            reason=reason,
            version=self.described.version,
            settings=self.described.settings,
            key=self.key,
        )


def describe(method: BenchMethod, worker: Worker) -> Description:
    """Version and settings of a method on this computer."""
    try:
        if isinstance(method, BaselineMethod):
            baseline = method.load()
            return Description(version=baseline.version(), settings=named_settings(baseline))
        return Description(version=f"samereg {__version__}", settings=worker.settings(method))
    except MissingPackageError as error:
        return Description(missing=f"not installed: {error}")
    except WeightsError as error:
        return Description(missing=f"network not trained: {error}")


def key_of(method: BenchMethod, described: Description, case: Case, sums: Mapping[Path, str]) -> str:
    """Key of a job, from method, settings, version, files of the pair, and scoring.

    Args:
        method: registration method.
        described: its description on this computer.
        case: the pair.
        sums: SHA-256 of every file of the dataset.
    """
    files = [sums[path] for scan in (case.fixed, case.moving) for path in files_of(scan)]
    parts = [method.name, described.version, described.settings, case.task, files, SCORING]
    return hashlib.sha256(json.dumps(to_plain(parts), sort_keys=True, allow_nan=False).encode()).hexdigest()


def checksums(cases: tuple[Case, ...]) -> dict[Path, str]:
    """SHA-256 of every file of the cases."""
    scans = dict.fromkeys(scan for case in cases for scan in (case.fixed, case.moving))
    return {path: sha256_of(path) for path in dict.fromkeys(path for scan in scans for path in files_of(scan))}


def files_of(scan: Scan) -> list[Path]:
    """Existing files of a scan."""
    return [path for path in (scan.image, scan.labels, scan.landmarks, scan.lesions) if path is not None]


def _done(job: Job, worker: Worker) -> CaseRecord:
    reset_peak_memory()
    began = time.perf_counter()
    fixed, moving = read_scan(job.case.fixed.image), read_scan(job.case.moving.image)
    load = time.perf_counter() - began
    found = _register(job, worker, fixed, moving)
    peak_gb = peak_memory_gb()
    began = time.perf_counter()
    path = transform_path(job.run, job.method.name, job.case.task, job.case.name)
    write_transform(found.transform, path)
    timing = Timing(load=round(load, 3), compute=round(found.seconds, 3), write=round(time.perf_counter() - began, 3))
    return replace(
        job.record("done"),
        machine={"device": describe_device(worker.device), "threads": torch.get_num_threads()},
        timing=timing,
        peak_gb=peak_gb,
        scores=_require_common_view(score_case(job.case, job.dataset, found.transform, found.inverse, fixed), job.case),
    )


def _register(job: Job, worker: Worker, fixed: Volume, moving: Volume) -> MethodResult:
    method = job.method
    if not isinstance(method, BaselineMethod):
        return worker.register(method, fixed, moving)
    baseline = method.load()
    began = time.perf_counter()
    transform = baseline.register(fixed, moving)
    inverse = transform.inverse()
    return MethodResult(transform=transform, inverse=inverse, seconds=time.perf_counter() - began)


def score_case(case: Case, dataset: Dataset, transform: Transform, inverse: Transform | None, fixed: Volume) -> Scores:
    """Computes all scores of a transform on a pair.

    Args:
        case: the pair.
        dataset: names of the labels.
        transform: fixed world to moving world.
        inverse: moving world to fixed world, or None.
        fixed: the fixed scan in HU, whose body is the domain of the field scores.

    Raises:
        TransformError: a transform with NaN or infinity.
    """
    labels: tuple[LabelScore, ...] = ()
    if case.fixed.labels is not None and case.moving.labels is not None:
        maps = (
            read_labels_of(case.fixed.labels, case.fixed.image),
            read_labels_of(case.moving.labels, case.moving.image),
        )
        labels = score_labels(*maps, transform, structures=dataset)
    landmarks = None
    if case.fixed.landmarks is not None and case.moving.landmarks is not None:
        files = (case.fixed.landmarks, case.fixed), (case.moving.landmarks, case.moving)
        landmarks = score_landmarks(*read_landmarks(*files), transform)
    scores = Scores(
        labels=labels,
        dice=mean_of([label.dice for label in labels]),
        asd_mm=mean_of([label.asd_mm for label in labels]),
        hd95_mm=mean_of([label.hd95_mm for label in labels]),
        landmarks=landmarks,
        field=score_field(transform, inverse, body_mask(fixed), fixed.grid),
        lesion_volume=_lesion_volume(case, transform),
    )
    return require_measured(scores, case.name)


def _lesion_volume(case: Case, transform: Transform) -> float | None:
    lesions = case.fixed.lesions
    return None if lesions is None else score_lesions(read_labels_of(lesions, case.fixed.image), transform)


def _require_common_view(scores: Scores, case: Case) -> Scores:
    """The scores; a method that moves all structures out of the common field of view has failed."""
    states = {label.state for label in scores.labels}
    if scores.dice is None and "not in common view" in states:
        raise NoOverlapError(f"{case.name}: no structure of the fixed scan is mapped into the moving scan.")
    return scores
