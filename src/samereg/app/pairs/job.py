"""One pair in a worker: registers it, carries along what was named, and moves its folder into place."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from samereg.app.pairs.folders import move_into_place, staged_folder
from samereg.app.pairs.pair import ScanPair, absolute
from samereg.app.pairs.record import PAIR_RECORD, InputState, PairRecord, PairSeconds, state_of, states_of
from samereg.app.pairs.worker import PairWorker
from samereg.app.record import sha256_of, write_json
from samereg.app.resampling import carry_image, moved_labels
from samereg.app.run_folder import RunFolder, require_dicom
from samereg.app.session import Registered
from samereg.app.settings import RegisterSettings
from samereg.errors import SameregError, is_out_of_memory
from samereg.geometry.affine import Affine
from samereg.geometry.domain import in_domain
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.images import name_to_write, read_labels, write_labels
from samereg.io.point_files import POINT_FORMATS, recognise_points
from samereg.io.point_formats.points import MovedPoints
from samereg.metrics.overlap import dice

LABELS, IMAGES, POINTS = "labels", "images", "points"
"""Folders in a run folder of what was carried along, under its own names."""

Finish = Callable[[Registered, ScanPair, Path], None]
"""Adds to the staged folder of a pair what layers above this one make: pictures, a report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairJob:
    """A pair that is to be registered.

    Attributes:
        pair: which scans, and what goes along.
        output: folder of all run folders.
        key: stands for settings, networks and version.
        settings: of the registration.
        keep: whether the embeddings of the fixed and of the moving scan are kept on disk.
        finish: makes what else belongs into the folder.
    """

    pair: ScanPair
    output: Path
    key: str
    settings: RegisterSettings
    keep: tuple[bool, bool]
    finish: Finish

    @property
    def alone(self) -> bool:
        """Pairs share their worker's networks and scans."""
        return False

    @property
    def folder(self) -> Path:
        """Run folder of the pair."""
        return self.output / self.pair.name

    def perform(self, worker: PairWorker) -> str | None:
        """Register and write the run folder.

        Returns:
            Why it failed, in one sentence; None if it did not.
        """
        try:
            self._perform(worker)
        except SameregError as error:
            return str(error)
        except OSError as error:
            return str(error) if error.strerror is None else f"{error.filename}: {error.strerror}."
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return f"Out of memory: {error}"
        return None

    def absolute(self) -> "PairJob":
        """The job with paths that mean the same wherever a worker was started."""
        return replace(self, output=self.output.absolute(), pair=absolute(self.pair))

    def failed(self, reason: str) -> PairRecord:
        """Record of the pair that could not be registered."""
        return PairRecord(
            name=self.pair.name,
            fixed=self.pair.fixed.path,
            moving=self.pair.moving.path,
            status="failed",
            key=self.key,
            inputs=states_of(self.pair.files),
            reason=reason,
        )

    def _perform(self, worker: PairWorker) -> None:
        fixed = worker.hold(self.pair.fixed, keep=self.keep[0])
        moving = worker.hold(self.pair.moving, keep=self.keep[1])
        if self.settings.dicom:
            require_dicom(fixed.prepared.volume.source, moving.prepared.volume.source)
        found = worker.session.register(fixed.prepared, moving.prepared, self.settings)
        began = time.perf_counter()
        with staged_folder(self.output) as folder:
            _write(found, RunFolder(folder), dicom=self.settings.dicom)
            _carry(found, self.pair, folder)
            before, after = _overlaps(found, self.pair)
            self.finish(found, self.pair, folder)
            seconds = PairSeconds(
                reading=round(fixed.reading_s + moving.reading_s, 3),
                registering=found.record.seconds,
                writing=round(time.perf_counter() - began, 3),
            )
            carried = tuple(state_of(path, sha256=sha256_of(path)) for path in self.pair.files[2:])
            record = self._done(found, (fixed.state, moving.state, *carried), folder)
            record = replace(record, seconds=seconds, dice_before=before, dice=after)
            write_json(record, folder / PAIR_RECORD)
            move_into_place(folder, self.folder)

    def _done(self, found: Registered, inputs: tuple[InputState, ...], folder: Path) -> PairRecord:
        files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        verdict = found.record.verdict
        return PairRecord(
            name=self.pair.name,
            fixed=self.pair.fixed.path,
            moving=self.pair.moving.path,
            status="done",
            key=self.key,
            inputs=inputs,
            files=tuple(sorted(files)),
            verdict=verdict.level,
            quality=found.record.quality,
            reason="; ".join([*verdict.faults, *verdict.notes]),
        )


def _write(found: Registered, folder: RunFolder, *, dicom: bool) -> None:
    folder.write(found.files())
    if dicom:
        sources = found.fixed.volume.source, found.moving.volume.source
        folder.write_dicom(found.files(), fixed=sources[0], moving=sources[1])


def _carry(found: Registered, pair: ScanPair, folder: Path) -> None:
    """Write everything that was named on the fixed scan's grid or in its space."""
    grid = found.fixed.volume.grid
    for kind, paths in ((LABELS, pair.labels), (IMAGES, pair.images), (POINTS, pair.points)):
        if paths:
            (folder / kind).mkdir()
    for path in pair.labels:
        moved, _ = moved_labels(read_labels(path), found.transform, grid)
        write_labels(moved, folder / LABELS / name_to_write(path), like=path)
    for path in pair.images:
        carry_image(path, folder / IMAGES / name_to_write(path), found.transform, grid)
    for path in pair.points:
        _carry_points(found, path, folder / POINTS / path.name)


def _carry_points(found: Registered, path: Path, output: Path) -> None:
    """Points of the moving scan in the space of the fixed one."""
    entry = POINT_FORMATS[recognise_points(path)]
    points = entry.read(path, found.moving.volume.grid)
    moved = MovedPoints(
        points_mm=found.inverse.apply(points.points_mm),
        outside=~in_domain(found.inverse, points.points_mm),
        columns=points.columns,
    )
    entry.write(moved, output, path, found.fixed.volume.grid)


def _overlaps(found: Registered, pair: ScanPair) -> tuple[float | None, float | None]:
    """Mean overlap of the first label map with that of the fixed scan, before and after; None without both."""
    if pair.fixed_labels is None or not pair.labels:
        return None, None
    fixed, moving = read_labels(pair.fixed_labels), read_labels(pair.labels[0])
    return _mean_dice(fixed, moving, Affine.identity()), _mean_dice(fixed, moving, found.transform)


def _mean_dice(fixed: LabelMap, moving: LabelMap, transform: Transform) -> float | None:
    """Over the labels that both maps hold; None if there is none."""
    common = (set(fixed.data.unique().tolist()) & set(moving.data.unique().tolist())) - {0}
    found = dice(fixed.data, resample_labels(moving, transform, fixed.grid).data)
    return round(fmean(found[value] for value in common), 6) if common else None
