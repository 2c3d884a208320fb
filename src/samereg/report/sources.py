"""What a report is made of, read from a registration's folder and checked against its record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samereg.app.match_table import read_matches
from samereg.app.record import Plain, sha256_of
from samereg.app.scans import read_scan
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, read_volume
from samereg.io.points import read_table_csv
from samereg.io.transforms import read_transform
from samereg.matching.matches import Matches
from samereg.report.record_kinds import wrong_entry

NEEDED = ("versions", "machine", "settings", "fixed", "moving", "stages", "quality", "seconds")
"""Parts of a run record that the page shows."""

CONFIDENCE = "confidence.nii.gz"
"""Volume on the fixed grid that `--confidence` writes: expected error in mm, -1 outside the body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPaths:
    """Files that a report needs besides the registration's folder.

    Attributes:
        fixed: the fixed scan, if it is not where the run record says.
        moving: the moving scan, likewise.
        fixed_labels: label map in the space of the fixed scan, for the table of organs and outlines.
        moving_labels: the same in the space of the moving scan.
        label_names: CSV file with the columns value and name.
    """

    fixed: Path | None = None
    moving: Path | None = None
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    label_names: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sources:
    """Everything that was read.

    Attributes:
        record: the run record as plain values.
        fixed: scan in HU.
        moving: scan in HU.
        moved: the moving scan on the fixed grid.
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last stage that matched points.
        labels: of the fixed and of the moving scan; None unless both are given.
        label_names: label value to name, as far as named.
        confidence: expected error of the registration on the fixed grid, mm, -1 where nothing is said; or None.
    """

    record: Mapping[str, Any]
    fixed: Volume
    moving: Volume
    moved: Volume
    transform: Transform
    inverse: Transform
    matches: Matches
    labels: tuple[LabelMap, LabelMap] | None
    label_names: Mapping[int, str]
    confidence: Volume | None


def read_sources(folder: Path, paths: ReportPaths) -> Sources:
    """Read a registration's folder, its two scans, and labels if there are any.

    Raises:
        FileError: something is missing or unreadable.
        InputError: a scan that is not the one that was registered.
        UsageError: labels of one scan only.
    """
    record = read_record(folder / "run.json")
    if (paths.fixed_labels is None) != (paths.moving_labels is None):
        raise UsageError("Got labels of one scan; need --fixed-labels and --moving-labels, or neither.")
    labels = None
    if paths.fixed_labels is not None and paths.moving_labels is not None:
        labels = read_labels(paths.fixed_labels), read_labels(paths.moving_labels)
    confidence = folder / CONFIDENCE
    return Sources(
        record=record,
        fixed=read_recorded_scan(record["fixed"], paths.fixed, name="fixed"),
        moving=read_recorded_scan(record["moving"], paths.moving, name="moving"),
        moved=read_volume(folder / "moved.nii.gz"),
        transform=read_transform(folder / "transform.h5"),
        inverse=read_transform(folder / "inverse.h5"),
        matches=read_matches(folder / "matches.csv"),
        labels=labels,
        label_names=read_label_names(paths.label_names) if paths.label_names else {},
        confidence=read_volume(confidence) if confidence.is_file() else None,
    )


def read_record(path: Path) -> Mapping[str, Any]:
    """The run record of a registration.

    Raises:
        FileError: missing, or no run record.
    """
    if not path.is_file():
        raise FileError(f"{path}: is missing; need the folder that samereg register wrote.")
    try:
        record: Plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(f"{path}: is damaged; need the run.json that samereg register wrote.") from error
    missing = [name for name in NEEDED if not isinstance(record, dict) or name not in record]
    if missing or not isinstance(record, dict):
        raise FileError(f"{path}: lacks {', '.join(missing)}; need the run.json that samereg register wrote.")
    wrong = wrong_entry(record)
    if wrong:
        raise FileError(f"{path}: is damaged in {wrong}; need the run.json that samereg register wrote.")
    return record


def read_recorded_scan(recorded: Mapping[str, Any], given: Path | None, *, name: str) -> Volume:
    """The scan of a run record, from where it was or from where it is now.

    Raises:
        FileError: it is not there.
        InputError: its contents are not those that were registered.
    """
    path = given or (Path(recorded["path"]) if recorded["path"] is not None else None)
    if path is None:
        raise FileError(f"The {name} scan was registered from memory; need it as a file, by --{name}.")
    if not path.exists():
        raise FileError(f"{path}: is not there any more; say where the {name} scan is now, by --{name}.")
    if recorded["sha256"] is not None and sha256_of(path) != recorded["sha256"]:
        raise InputError(
            f"{path}: is not the {name} scan that was registered (SHA-256 {recorded['sha256'][:12]}...); need that "
            f"one, by --{name}."
        )
    volume = read_scan(path, series=recorded["series"] if path.is_dir() else None)
    if list(volume.grid.shape) != list(recorded["shape"]):
        raise InputError(
            f"{path}: has {volume.grid.shape} voxels, but the {name} scan that was registered had "
            f"{tuple(recorded['shape'])}; need that one, by --{name}."
        )
    return volume


def read_label_names(path: Path) -> Mapping[int, str]:
    """Names of label values, from the columns value and name of a CSV file.

    Raises:
        FileError: missing, or not text.
        InputError: a column is missing, or a value is no whole number.
    """
    columns = read_table_csv(path, ("value", "name"))
    try:
        return {int(value): name for value, name in zip(columns["value"], columns["name"], strict=True)}
    except ValueError as error:
        raise InputError(f"{path}: has a label value that is no whole number.") from error
