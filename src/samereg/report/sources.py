"""Inputs of a report: a registration in memory, or its folder, verified against its record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samereg.app.record import InputRecord, RunRecord
from samereg.app.run_folder import RunFolder, RunResult
from samereg.app.scans import read_scan
from samereg.app.session import Registered
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels
from samereg.io.points import read_table_csv
from samereg.matching.matches import Matches


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPaths:
    """Additional files of a report.

    Attributes:
        fixed: the fixed scan, if it has been moved.
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
    """Inputs of a report.

    Attributes:
        record: the run record.
        fixed: scan in HU.
        moving: scan in HU.
        moved: the moving scan on the fixed grid.
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last stage that matched points.
        labels: of the fixed and of the moving scan; None unless both are given.
        label_names: names by label value, as far as known.
        confidence: expected error on the fixed grid, mm, -1 where unknown; or None.
    """

    record: RunRecord
    fixed: Volume
    moving: Volume
    moved: Volume
    transform: Transform
    inverse: Transform
    matches: Matches
    labels: tuple[LabelMap, LabelMap] | None
    label_names: Mapping[int, str]
    confidence: Volume | None


def read_sources(folder: RunFolder, paths: ReportPaths) -> Sources:
    """Reads a registration's folder, its two scans, and labels if given.

    Raises:
        FileError: something is missing or unreadable.
        InputError: a scan differs from the registered one.
        UsageError: labels of one scan only.
    """
    result = folder.read()
    return _sources(
        result,
        read_recorded_scan(result.record.fixed, paths.fixed, name="fixed"),
        read_recorded_scan(result.record.moving, paths.moving, name="moving"),
        paths,
    )


def sources_of(found: Registered, paths: ReportPaths) -> Sources:
    """Inputs from a registration in memory; only labels are read.

    Raises:
        FileError: labels that are missing or unreadable.
        UsageError: labels of one scan only.
    """
    return _sources(found.files(), found.fixed.volume, found.moving.volume, paths)


def _sources(result: RunResult, fixed: Volume, moving: Volume, paths: ReportPaths) -> Sources:
    return Sources(
        record=result.record,
        fixed=fixed,
        moving=moving,
        moved=result.moved,
        transform=result.transform,
        inverse=result.inverse,
        matches=result.matches,
        labels=_labels(paths, fixed.grid, moving.grid),
        label_names=read_label_names(paths.label_names) if paths.label_names else {},
        confidence=result.confidence,
    )


def _labels(paths: ReportPaths, fixed: Grid, moving: Grid) -> tuple[LabelMap, LabelMap] | None:
    if (paths.fixed_labels is None) != (paths.moving_labels is None):
        raise UsageError("Got labels of one scan; need --fixed-labels and --moving-labels, or neither.")
    if paths.fixed_labels is None or paths.moving_labels is None:
        return None
    return read_labels(paths.fixed_labels, grid=fixed), read_labels(paths.moving_labels, grid=moving)


def read_recorded_scan(recorded: InputRecord, given: Path | None, *, name: str) -> Volume:
    """Reads a scan of a run record, from its recorded path or the given one.

    Raises:
        FileError: it is missing.
        InputError: its contents differ from the registered ones.
    """
    path = given or recorded.path
    if path is None:
        raise FileError(f"The {name} scan was registered from memory; need it as a file, by --{name}.")
    if not path.exists():
        raise FileError(f"{path}: does not exist any more; give the {name} scan's new path by --{name}.")
    volume = read_scan(path, series=recorded.series if path.is_dir() else None)
    if recorded.sha256 is not None and volume.source.sha256 != recorded.sha256:
        raise InputError(
            f"{path}: is not the {name} scan that was registered (SHA-256 {recorded.sha256[:12]}...); need that "
            f"one, by --{name}."
        )
    if volume.grid.shape != recorded.shape:
        raise InputError(
            f"{path}: has {volume.grid.shape} voxels, but the {name} scan that was registered had {recorded.shape}; "
            f"need that one, by --{name}."
        )
    return volume


def read_label_names(path: Path) -> Mapping[int, str]:
    """Names of label values, from the columns value and name of a CSV file.

    Raises:
        FileError: missing, or not text.
        InputError: a column is missing, or a value is not a whole number.
    """
    columns = read_table_csv(path, ("value", "name"))
    try:
        return {int(value): name for value, name in zip(columns["value"], columns["name"], strict=True)}
    except ValueError as error:
        raise InputError(f"{path}: has a label value that is not a whole number.") from error
