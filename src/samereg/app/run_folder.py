"""The output folder of a registration: names, writing and reading of its files."""

import json
from dataclasses import dataclass
from pathlib import Path

from samereg.app.match_table import read_matches, write_matches
from samereg.app.plain import from_plain
from samereg.app.record import RunRecord, write_json
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.dicom_images import write_series
from samereg.io.images import read_volume, write_volume
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import read_transform, write_transform
from samereg.matching.matches import Matches

MOVED = "moved.nii.gz"
TRANSFORM = "transform.h5"
INVERSE = "inverse.h5"
MATCHES = "matches.csv"
RECORD = "run.json"
CONFIDENCE = "confidence.nii.gz"
REPORT = "report.html"

REGISTRATION = "registration.dcm"
"""The transform as a DICOM registration object, if DICOM is asked for."""
MOVED_SERIES = "moved"
"""The moved scan as a DICOM series: a folder of slices."""

RUN_FILES = (MOVED, TRANSFORM, INVERSE, MATCHES, RECORD, CONFIDENCE, REPORT, REGISTRATION, f"{MOVED_SERIES}/*.dcm")
"""All files of a registration and its report; a new registration in the folder replaces or removes them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunResult:
    """Contents of a run folder.

    Attributes:
        moved: the moving scan on the fixed scan's grid.
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last stage that matched points.
        record: the run record.
        confidence: expected error in mm on the fixed scan's grid; None if not requested.
    """

    moved: Volume
    transform: Transform
    inverse: Transform
    matches: Matches
    record: RunRecord
    confidence: Volume | None = None


def require_dicom(*sources: Source) -> None:
    """Refuse scans about which no DICOM object can be written, before anything is computed.

    Raises:
        InputError: a scan that did not come from DICOM, or has no frame of reference.
    """
    for source in sources:
        if source.dicom is None:
            raise InputError(
                f"{source.label}: is no DICOM scan, and a DICOM result needs two; give DICOM folders, or no --dicom."
            )
        if source.frame_of_reference_uid is None:
            raise InputError(f"{source.label}: has no FrameOfReferenceUID, which a DICOM registration is about.")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one registration.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.path / REPORT

    def write(self, result: RunResult) -> None:
        """Writes all files of a registration into the existing folder.

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

    def write_dicom(self, result: RunResult, *, fixed: Source, moving: Source) -> None:
        """Write the transform as a registration object, and the moved scan as a series derived from the moving one.

        Args:
            result: of the registration.
            fixed: where the fixed scan came from.
            moving: where the moving scan came from.

        Raises:
            InputError: a scan that did not come from DICOM, or has no frame of reference.
            FileError: a file cannot be written.
        """
        spaces = Spaces(fixed_source=fixed, moving_source=moving)
        write_transform_file(result.transform, self.path / REGISTRATION, spaces=spaces)
        write_series(result.moved, self.path / MOVED_SERIES, source=moving, place=fixed)

    def read(self) -> RunResult:
        """Reads all files of a registration.

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
        """Reads the run record.

        Raises:
            FileError: it is missing, damaged, or not a run record.
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
