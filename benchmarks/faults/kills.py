"""The part `kills`: commands and trainings ended by SIGKILL at random moments, gone on with, and compared."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import SimpleITK as sitk

from benchmarks.faults.processes import FIXED, MOVING, run_child, small_pair
from benchmarks.faults.records import append_row, read_rows
from samereg.app.deform_training import DeformSources, train_deform_from_files
from samereg.app.embedding_training import train_from_files
from samereg.app.settings import TrainingMachineSettings
from samereg.cli.main import main
from samereg.errors import SameregError
from samereg.training.aligned import CropSettings
from samereg.training.batches import BatchSettings
from samereg.training.checkpoint import FILE_NAME, read_checkpoint
from samereg.training.deform import DeformTraining
from samereg.training.settings import EmbeddingTraining

_MACHINE = TrainingMachineSettings(device="cpu", threads=1)
_CPU = ("--device", "cpu", "--threads", "1", "-q")
_VOLATILE = ("seconds", "timing", "peak_gb", "path", "machine")
"""Entries of JSON records that differ from run to run."""
_KILLS_BETWEEN_ENDS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Something that is killed.

    Attributes:
        name: of the command.
        run: does it, with the folder of the inputs and the folder of the outputs; gives an exit code.
        share: of all kills.
        compared: whether a file of the output has to have the same bytes in the end, by its name.
        goes_on: whether what a kill leaves is gone on with; otherwise a finished output is removed first.
    """

    name: str
    run: Callable[[Path, Path], int]
    share: float
    compared: Callable[[str], bool]
    goes_on: bool = False


def _register(place: Path, out: Path) -> int:
    words = ["-f", str(place / "cohort" / FIXED), "-m", str(place / "cohort" / MOVING), "--preset", "fast"]
    return main(["register", *words, "-o", str(out / "registration"), *_CPU])


def _apply(place: Path, out: Path) -> int:
    fixed, moving = place / "cohort" / FIXED, place / "cohort" / MOVING
    words = ["-t", str(place / "registered" / "transform.h5"), "-i", str(moving), "-r", str(fixed)]
    return main(["apply", *words, "-o", str(out / "moved.nii.gz"), "--overwrite", "-q"])


def _bench(place: Path, out: Path) -> int:
    words = ["--dataset", str(place / "dataset"), "-o", str(out / "bench"), "--methods", "identity", "centre-of-mass"]
    return main(["bench", *words, *_CPU])


def _train_embedding(place: Path, out: Path) -> int:
    batch = BatchSettings(crop_vox=(48, 48, 48), whole_vox=(48, 48, 48), pairs=1, anchors=32, pool=200)
    settings = EmbeddingTraining(steps=6, warm_up=2, save_every=1, log_every=1, batch=batch)
    train_from_files(place / "scans", out / "run", settings=settings, machine=_MACHINE)
    return 0


def _train_deform(place: Path, out: Path) -> int:
    settings = DeformTraining(
        network="vm-unet",
        steps=6,
        warm_up=2,
        save_every=1,
        log_every=1,
        crops=CropSettings(crop_vox=(48, 48, 48), pairs=1),
    )
    sources = DeformSources(data=place / "scans", alignment="affine", cache=out / "cache")
    train_deform_from_files(sources, out / "run", settings=settings, machine=_MACHINE)
    return 0


def every_file(_name: str) -> bool:
    """Of commands whose every file is the same from run to run."""
    return True


def _weights(name: str) -> bool:
    return name.endswith((".safetensors", ".md"))


WORKS: tuple[Work, ...] = (
    Work(name="register", run=_register, share=0.25, compared=every_file),
    Work(name="apply", run=_apply, share=0.25, compared=every_file),
    Work(
        name="bench",
        run=_bench,
        share=0.1,
        compared=lambda name: name.startswith(("bench/cases/", "bench/transforms/")),
        goes_on=True,
    ),
    Work(name="train embedding", run=_train_embedding, share=0.2, compared=_weights, goes_on=True),
    Work(name="train deform", run=_train_deform, share=0.2, compared=_weights, goes_on=True),
)


def prepare(place: Path) -> None:
    """Inputs of every command."""
    cohort = small_pair(place)
    scans = place / "scans"
    scans.mkdir(exist_ok=True)
    for name in (FIXED, MOVING):
        shutil.copy(cohort / name, scans / Path(name).name)
    dataset = place / "dataset"
    dataset.mkdir(exist_ok=True)
    (dataset / "manifest.csv").write_text(f"id,image\na,{cohort / FIXED}\nb,{cohort / MOVING}\n")
    (dataset / "pairs.csv").write_text("fixed,moving\na,b\nb,a\n")
    if not (place / "registered").is_dir():
        ended = run_child(lambda: _register(place, place / "before"), place / "log.txt")
        if ended.code != 0:
            raise RuntimeError(f"the small pair cannot be registered: {ended.words}")
        (place / "before" / "registration").rename(place / "registered")


def run_kills(
    kills: int, seed: int, path: Path, place: Path, *, on_kill: Callable[[str, str], None] | None = None
) -> None:
    """Kill each command its share of times; what has a row is not repeated."""
    prepare(place)
    done = read_rows(path)
    for number, work in enumerate(WORKS):
        wanted = round(kills * work.share)
        made = sum(row["work"] == work.name and row["event"] == "kill" for row in done)
        if made < wanted:
            _Chain(work, place, path, on_kill).run(range(made, wanted), np.random.default_rng([seed, number, made]))


class _Chain:
    """One command, killed again and again over what the kill before left."""

    def __init__(self, work: Work, place: Path, path: Path, on_kill: Callable[[str, str], None] | None) -> None:
        self._work, self._place, self._path, self._on_kill = work, place, path, on_kill
        self._out, self._log = place / "out", place / "log.txt"
        self._reference: Mapping[str, str] = {}
        self._seconds = 0.0

    def run(self, numbers: range, random: np.random.Generator) -> None:
        """Kill, look, and from time to time run to the end and compare."""
        self._make_reference()
        for count, number in enumerate(numbers, start=1):
            self._clear_finished()
            moment_s = float(random.uniform(0.0, self._seconds))
            ended = self._start(kill_after_s=moment_s)
            fault = half_written(self._out, self._reference, self._work.compared)
            self._note("kill", number, fault, moment_s=round(moment_s, 3), finished=ended.code >= 0)
            if count % _KILLS_BETWEEN_ENDS == 0 or number == numbers[-1]:
                self._finish(number)

    def _make_reference(self) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        ended = self._start()
        if ended.code != 0:
            raise RuntimeError(f"{self._work.name} does not work undisturbed: {ended.words}")
        self._seconds = ended.seconds
        self._reference = fingerprints(self._out, self._work.compared)
        shutil.rmtree(self._out)

    def _finish(self, number: int) -> None:
        self._clear_finished()
        ended = self._start()
        found = fingerprints(self._out, self._work.compared)
        differing = sorted(name for name in {*found, *self._reference} if found.get(name) != self._reference.get(name))
        fault = f"exit code {ended.code}: {ended.words[-300:]}" if ended.code != 0 else ", ".join(differing)
        self._note("end", number, fault)
        shutil.rmtree(self._out)

    def _start(self, kill_after_s: float | None = None) -> Any:
        self._out.mkdir(exist_ok=True)
        return run_child(lambda: self._work.run(self._place, self._out), self._log, kill_after_s=kill_after_s)

    def _clear_finished(self) -> None:
        """A command that is not gone on with refuses a finished output; hidden leftovers of kills stay."""
        if not self._work.goes_on and self._out.is_dir():
            for path in self._out.iterdir():
                if not path.name.startswith("."):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _note(self, event: str, number: int, fault: str, **further: Any) -> None:
        append_row(self._path, {"work": self._work.name, "event": event, "number": number, "fault": fault, **further})
        if self._on_kill is not None:
            self._on_kill(f"{self._work.name}, {event} {number}", fault or "good")


def fingerprints(folder: Path, compared: Callable[[str], bool]) -> Mapping[str, str]:
    """A hash of each compared file, without what differs from run to run: times, and names of machines."""
    return {
        name: _fingerprint(path) for name, path in _finals(folder).items() if compared(name) and not _is_state(name)
    }


def _finals(folder: Path) -> Mapping[str, Path]:
    """Files under final names: none of their folders is hidden."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in names.items() if not any(part.startswith(".") for part in name.split("/"))}


def _fingerprint(path: Path) -> str:
    if path.suffix == ".h5":
        return _hdf5_fingerprint(path)
    content = path.read_bytes()
    if path.suffix == ".json":
        content = json.dumps(_steady(json.loads(content)), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _hdf5_fingerprint(path: Path) -> str:
    """Of everything that an HDF5 file holds; the file itself has the time of writing in it."""
    digest = hashlib.sha256()

    def add(name: str, entry: Any) -> None:
        digest.update(name.encode())
        if isinstance(entry, h5py.Dataset):
            value = np.asarray(entry[()])
            digest.update(repr(value.tolist()).encode() if value.dtype.kind == "O" else value.tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
    return digest.hexdigest()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in _VOLATILE}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def _is_state(name: str) -> bool:
    return name.endswith(FILE_NAME) or "cache/" in name or "events.out" in name


def half_written(folder: Path, reference: Mapping[str, str], compared: Callable[[str], bool]) -> str:
    """What lies under a final name and is not whole; empty for nothing.

    A file that does not change from run to run is whole if its bytes are those of an undisturbed run. Others have to be
    readable by another library: checkpoints, transforms, images, JSON.
    """
    faults = []
    for name, path in _finals(folder).items():
        try:
            if _is_state(name) or not compared(name):
                _require_readable(path)
            elif _fingerprint(path) != reference.get(name):
                faults.append(f"{name} is not what an undisturbed run writes")
        except (SameregError, OSError, ValueError, RuntimeError, EOFError) as error:
            faults.append(f"{name}: {error}"[:200])
    return "; ".join(faults)


def _require_readable(path: Path) -> None:
    if path.name == FILE_NAME:
        read_checkpoint(path.parent)
    elif path.suffix == ".h5":
        sitk.ReadTransform(os.fspath(path))
    elif path.name.endswith((".nii", ".nii.gz")):
        image: Any = nib.load(path)
        np.asanyarray(image.dataobj)
    elif path.suffix == ".json":
        json.loads(path.read_text("utf-8"))
