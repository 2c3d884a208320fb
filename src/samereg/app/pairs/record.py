"""The record of one pair of many: what it was made from, so that a later run can tell whether it still holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samereg.app.plain import from_plain
from samereg.app.record import sha256_of
from samereg.app.verdict import Level
from samereg.errors import FileError, InputError
from samereg.io.dicom_files import files_below
from samereg.pipeline.quality import Quality

PAIR_RECORD = "pair.json"
"""In each run folder of a cohort, written last: the folder of a pair that failed holds nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputState:
    """A file or folder as it was when it was read.

    Attributes:
        path: absolute.
        files: how many; 0 where nothing is there.
        size_bytes: of all of them.
        modified_ns: when the last one was changed.
        sha256: of their contents, as of `sha256_of`; None where nobody read them.
    """

    path: Path
    files: int
    size_bytes: int
    modified_ns: int
    sha256: str | None = None

    def holds(self, now: "InputState") -> bool:
        """Whether the contents are still the same; they are read only where size or time differ."""
        if (self.path, self.files, self.size_bytes) != (now.path, now.files, now.size_bytes) or not now.files:
            return False
        return self.modified_ns == now.modified_ns or (self.sha256 is not None and self.sha256 == sha256_of(now.path))


@dataclass(frozen=True, kw_only=True, slots=True)
class PairSeconds:
    """Wall time of the parts of one pair.

    Attributes:
        reading: both scans; 0 for a scan that was still in memory.
        registering: preparing, embedding and registering, as in `run.json`.
        writing: resampling, carrying and writing everything.
    """

    reading: float
    registering: float
    writing: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRecord:
    """What came of a pair.

    Attributes:
        name: of its run folder.
        fixed: path of the scan that stays.
        moving: path of the other.
        status: `done` also where the verdict is failed; `failed` where there is no registration.
        key: stands for settings, networks and version; a record of another key does not hold.
        inputs: every file that was read.
        files: what was written, relative to the run folder.
        verdict: of the registration; None without one.
        quality: its figures.
        dice: mean overlap with the fixed labels through the transform, 0 to 1; None without both label maps.
        dice_before: the same as the scans lie in the world.
        seconds: what it took.
        reason: why it failed, or what the verdict found; empty if nothing.
    """

    name: str
    fixed: Path
    moving: Path
    status: Literal["done", "failed"]
    key: str
    inputs: tuple[InputState, ...]
    files: tuple[str, ...] = ()
    verdict: Level | None = None
    quality: Quality | None = None
    dice: float | None = None
    dice_before: float | None = None
    seconds: PairSeconds | None = None
    reason: str = ""


def state_of(path: Path, *, sha256: str | None = None) -> InputState:
    """A file or folder as it is now; nothing of it is read."""
    if not path.exists():
        return InputState(path=path, files=0, size_bytes=0, modified_ns=0)
    files = [file for file in files_below(path) if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    return InputState(
        path=path,
        files=len(files),
        size_bytes=sum(each.st_size for each in stats),
        modified_ns=max((each.st_mtime_ns for each in stats), default=0),
        sha256=sha256,
    )


def states_of(paths: Sequence[Path]) -> tuple[InputState, ...]:
    """The same of several."""
    return tuple(state_of(path) for path in paths)


def read_pair_record(folder: Path) -> PairRecord | None:
    """Record of a run folder; None where there is none.

    Raises:
        FileError: it is damaged.
    """
    path = folder / PAIR_RECORD
    if not path.is_file():
        return None
    try:
        return from_plain(PairRecord, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, InputError) as error:
        raise FileError(f"{path}: is no record of a pair ({error}); remove its folder to register it again.") from error
