"""The folder of a registration: the names of its files, and how each is written and read."""

import json
from dataclasses import dataclass
from pathlib import Path

from samereg.app.match_table import read_matches, write_matches
from samereg.app.plain import from_plain
from samereg.app.record import RunRecord, write_json
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
from samereg.io.transforms import read_transform, write_transform
from samereg.matching.matches import Matches

MOVED = "moved.nii.gz"
TRANSFORM = "transform.h5"
INVERSE = "inverse.h5"
MATCHES = "matches.csv"
RECORD = "run.json"
CONFIDENCE = "confidence.nii.gz"
REPORT = "report.html"

RUN_FILES = (MOVED, TRANSFORM, INVERSE, MATCHES, RECORD, CONFIDENCE, REPORT)
"""Every file that a registration or a report on it may leave; a new registration there replaces all of them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunResult:
    """What is written.

    Attributes:
        moved: the moving scan on the fixed scan's grid.
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last stage that matched points.
        record: the run record.
        confidence: expected error in mm on the fixed scan's grid; None if nobody asked for it.
    """

    moved: Volume
    transform: Transform
    inverse: Transform
    matches: Matches
    record: RunRecord
    confidence: Volume | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that holds, or is going to hold, one registration.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def report(self) -> Path:
        """The page about this registration."""
        return self.path / REPORT

    def write(self, result: RunResult) -> None:
        """Write every file of a registration; the folder exists.

        Raises:
            FileError: a file cannot be written.
        """
        write_transform(result.transform, self.path / TRANSFORM)
        write_transform(result.inverse, self.path / INVERSE)
        write_volume(result.moved, self.path / MOVED)
        write_matches(result.matches, self.path / MATCHES)
        if result.confidence is not None:
            write_volume(result.confidence, self.path / CONFIDENCE)
        write_json(result.record, self.path / RECORD)

    def read(self) -> RunResult:
        """Every file of a registration.

        Raises:
            FileError: something is missing or damaged.
        """
        record = self.read_record()
        confidence = self.path / CONFIDENCE
        return RunResult(
            moved=read_volume(self.path / MOVED),
            transform=read_transform(self.path / TRANSFORM),
            inverse=read_transform(self.path / INVERSE),
            matches=read_matches(self.path / MATCHES),
            record=record,
            confidence=read_volume(confidence) if confidence.is_file() else None,
        )

    def read_record(self) -> RunRecord:
        """The run record.

        Raises:
            FileError: it is missing, damaged, or no run record.
        """
        path = self.path / RECORD
        if not path.is_file():
            raise FileError(f"{path}: is missing; need the folder that samereg register wrote.")
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path}: is damaged; need the run.json that samereg register wrote.") from error
        try:
            return from_plain(RunRecord, plain)
        except (InputError, UsageError) as error:
            raise FileError(f"{path}: {error}; need the run.json that samereg register wrote.") from error
