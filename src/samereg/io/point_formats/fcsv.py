"""Slicer's legacy fiducial lists (`.fcsv`): RAS or LPS mm according to the header, RAS by default."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import InputError
from samereg.io.atomic import atomic_file
from samereg.io.point_formats.format import PointFormat, by_name
from samereg.io.point_formats.points import OUTSIDE, MovedPoints, PointSet, between_lps_and, require_points
from samereg.io.text import parse_rows, read_text, refuse_repeated

_FRAMES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_COLUMNS = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID")
_HEADER = "# Markups fiducial file version = 5.0\n# CoordinateSystem = LPS\n# columns = " + ",".join(_COLUMNS) + "\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listing:
    """Header lines, coordinate frame, column names and rows of a file."""

    header: tuple[str, ...]
    frame: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_fcsv(path: Path) -> PointSet:
    """Reads points with their labels and descriptions.

    Raises:
        FileError: missing, or not text.
        InputError: points in voxels (IJK), a row without three numbers, or no points.
    """
    listing = _parse(read_text(path), path)
    places = [_column(listing, axis, path) for axis in ("x", "y", "z")]
    points = [[_number(row, place, path) for place in places] for row in listing.rows]
    texts: dict[str, tuple[str, ...]] = {
        name: tuple(_cell(row, listing.columns.index(name)) for row in listing.rows)
        for name in ("label", "desc")
        if name in listing.columns
    }
    return PointSet(points_mm=between_lps_and(listing.frame, require_points(points, path)), columns=texts)


def write_fcsv(moved: MovedPoints, path: Path, *, source: Path | None) -> None:
    """Writes points, with the header, coordinate frame and other columns of their source file.

    A point outside is marked in its description, because Slicer supports no additional columns.

    Args:
        moved: points in the order of `read_fcsv`.
        path: output file.
        source: file of the original points; None writes a new list in LPS.
    """
    listing = _parse(read_text(source) if source else _new_text(moved), path)
    positions = between_lps_and(listing.frame, moved.points_mm).tolist()
    out = io.StringIO()
    out.writelines(line + "\n" for line in listing.header)
    writer = csv.writer(out, lineterminator="\n")
    for row, position, outside in zip(listing.rows, positions, moved.outside.tolist(), strict=True):
        writer.writerow(_moved_row(row, listing.columns, position, outside=bool(outside)))
    with atomic_file(path) as temporary:
        temporary.write_text(out.getvalue(), encoding="utf-8")


def _moved_row(row: tuple[str, ...], columns: tuple[str, ...], position: list[float], *, outside: bool) -> list[str]:
    cells = [*row, *("" for _ in columns[len(row) :])]
    for axis, value in zip(("x", "y", "z"), position, strict=True):
        cells[columns.index(axis)] = f"{value:.6f}"
    if outside and "desc" in columns:
        described = cells[columns.index("desc")]
        cells[columns.index("desc")] = f"{described} ({OUTSIDE})" if described else OUTSIDE
    return cells


def _parse(text: str, path: Path) -> _Listing:
    # Not `splitlines`, which also splits at characters that occur in labels.
    lines = text.replace("\r\n", "\n").split("\n")
    header = tuple(line for line in lines if line.startswith("#"))
    facts = {
        name.strip().lower(): value.strip()
        for name, equals, value in (line.lstrip("# ").partition("=") for line in header)
        if equals
    }
    named = facts.get("coordinatesystem", "RAS").upper()
    if named not in _FRAMES:
        raise InputError(f"{path}: has points in the frame {named}; need RAS (0) or LPS (1).")
    columns = tuple(name.strip() for name in facts.get("columns", ",".join(_COLUMNS)).split(","))
    refuse_repeated(columns, ("x", "y", "z", "label", "desc"), path)
    body = "\n".join(line for line in lines if not line.startswith("#"))
    rows = tuple(row.cells for row in parse_rows(body, path, separator=","))
    return _Listing(header=header, frame=_FRAMES[named], columns=columns, rows=rows)


def _new_text(moved: MovedPoints) -> str:
    names = next((moved.columns[name] for name in ("label", "name") if name in moved.columns), None)
    labels = names or tuple(f"P-{number + 1}" for number in range(len(moved.points_mm)))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, label in enumerate(labels):
        writer.writerow([number + 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, label, "", ""])
    return _HEADER + out.getvalue()


def _column(listing: _Listing, name: str, path: Path) -> int:
    if name not in listing.columns:
        raise InputError(f"{path}: has the columns {','.join(listing.columns)[:80]}; need x, y and z.")
    return listing.columns.index(name)


def _cell(row: tuple[str, ...], place: int) -> str:
    return row[place] if place < len(row) else ""


def _number(row: tuple[str, ...], place: int, path: Path) -> float:
    try:
        return float(_cell(row, place))
    except ValueError as error:
        raise InputError(f"{path}: has the row {','.join(row)[:60]!r}; need numbers in x, y and z.") from error


FCSV = PointFormat(
    name="fcsv",
    suffixes=(".fcsv",),
    recognise=by_name("fcsv", ".fcsv"),
    read=lambda path, _: read_fcsv(path),
    write=lambda moved, path, source, _: write_fcsv(moved, path, source=source),
)
