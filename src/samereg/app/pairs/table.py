"""Pairs of scans from a table; everything wrong with it is said before anything is computed, by line and column."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samereg.app.pairs.pair import BETWEEN, Scan, ScanPair, name_fault, name_key, scan_names
from samereg.errors import FileError, InputError, SameregError
from samereg.io.dicom_files import files_below, is_dicom
from samereg.io.images import IMAGE_SUFFIXES, image_format
from samereg.io.point_files import recognise_points
from samereg.io.text import read_rows, refuse_repeated

NEEDED = ("fixed", "moving")
OPTIONAL = ("name", "labels", "masks", "images", "points", "fixed_labels", "fixed_series", "moving_series")
NOTES = "note"
"""Columns whose names begin with this are the user's own."""

SEVERAL = "|"
"""Between the files of one cell."""

Require = Callable[[Path], None]
"""Refuses a file that cannot be what a column is for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """One line of the table: says where something is wrong with it."""

    table: Path
    number: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        return self.cells.get(column, "")

    def fault(self, column: str, words: str) -> InputError:
        return InputError(f"{self.table}: line {self.number}, column '{column}': {words}.")

    def paths(self, column: str, require: Require) -> tuple[Path, ...]:
        """Files of a cell, relative to the table, each of which is there and can be what it is for."""
        names = [name.strip() for name in self.text(column).split(SEVERAL)]
        paths = tuple(Path(os.path.normpath((self.table.parent / name).absolute())) for name in names if name)
        for path in paths:
            if not path.exists():
                raise self.fault(column, f"names {path}, which does not exist")
            try:
                require(path)
            except SameregError as error:
                raise self.fault(column, str(error).removesuffix(".")) from error
        return paths

    def path(self, column: str, require: Require) -> Path | None:
        found = self.paths(column, require)
        if len(found) > 1:
            raise self.fault(column, f"names {len(found)} files; need one")
        return found[0] if found else None


def read_pairs(table: Path) -> tuple[ScanPair, ...]:
    """Pairs of a table with the columns `fixed` and `moving`, and any of the optional ones.

    Paths are relative to the table; cells of `labels`, `masks`, `images` and `points` may hold several, with `|`
    between them. Contents of scans are not looked at.

    Raises:
        FileError: no such table, or not text.
        InputError: a column, a cell or a pair that cannot be used; the message names line and column.
        UsageError: scans whose names cannot be told apart.
    """
    lines = _lines(table)
    scans = [(_scan(line, "fixed"), _scan(line, "moving")) for line in lines]
    for line, (fixed, moving) in zip(lines, scans, strict=True):
        if fixed.path.resolve() == moving.path.resolve() and fixed.series == moving.series:
            raise line.fault("moving", "names the scan of the column 'fixed'; need another one")
    names = scan_names(dict.fromkeys(scan.path for pair in scans for scan in pair))
    pairs = [
        _pair(line, pair, f"{names[pair[0].path]}{BETWEEN}{names[pair[1].path]}")
        for line, pair in zip(lines, scans, strict=True)
    ]
    _refuse_one_folder(lines, pairs)
    return tuple(pairs)


def _lines(table: Path) -> tuple[_Line, ...]:
    rows = read_rows(table).rows
    header = tuple(cell.strip() for cell in rows[0].cells) if rows else ()
    for name in NEEDED:
        if name not in header:
            raise InputError(f"{table}: line 1 has the columns {', '.join(header) or 'of nothing'}; need '{name}' too.")
    known = (*NEEDED, *OPTIONAL)
    for name in header:
        if name not in known and not name.startswith(NOTES):
            raise InputError(
                f"{table}: line 1, column '{name}': is not known; need {', '.join(known)}, or a name that begins with "
                f"'{NOTES}' for notes of your own."
            )
    refuse_repeated(header, header, table)
    lines = []
    for row in rows[1:]:
        if len(row.cells) != len(header):
            raise InputError(f"{table}: line {row.line} has {len(row.cells)} cells; need {len(header)}, as the header.")
        cells = {name: cell.strip() for name, cell in zip(header, row.cells, strict=True)}
        lines.append(_Line(table=table, number=row.line, cells=cells))
    if not lines:
        raise InputError(f"{table}: holds no pairs; need at least one line under its header.")
    return tuple(lines)


def _scan(line: _Line, column: str) -> Scan:
    path = line.path(column, require_scan)
    if path is None:
        raise line.fault(column, "is empty; need the path of a scan")
    series = line.text(f"{column}_series") or None
    if series is not None and not path.is_dir():
        raise line.fault(f"{column}_series", f"names a DICOM series, but {path} is a file; need a folder, or nothing")
    return Scan(path=path, series=series)


def _pair(line: _Line, scans: tuple[Scan, Scan], name: str) -> ScanPair:
    named = line.text("name") or name
    fault = name_fault(named)
    if fault:
        raise line.fault("name", f"the run folder would be {named[:80]!r}, {fault}; need another name here")
    return ScanPair(
        name=named,
        fixed=scans[0],
        moving=scans[1],
        labels=_distinct(line, ("labels", "masks"), require_label_file),
        images=_distinct(line, ("images",), require_scan),
        points=_distinct(line, ("points",), _require_points),
        fixed_labels=line.path("fixed_labels", require_label_file),
    )


def _distinct(line: _Line, columns: tuple[str, ...], require: Require) -> tuple[Path, ...]:
    """Files of cells that will lie in one folder under their own names."""
    taken: dict[str, Path] = {}
    for column in columns:
        for path in line.paths(column, require):
            other = taken.setdefault(name_key(path.name), path)
            if other is not path:
                raise line.fault(column, f"{path} and {other} have one name and would be written to one file")
    return tuple(taken.values())


def _refuse_one_folder(lines: Sequence[_Line], pairs: Sequence[ScanPair]) -> None:
    taken: dict[str, int] = {}
    for line, pair in zip(lines, pairs, strict=True):
        other = taken.setdefault(name_key(pair.name), line.number)
        if other != line.number:
            words = f"the run folder {pair.name} is that of line {other} too; need a name of its own here"
            raise line.fault("name", words)


def require_scan(path: Path) -> None:
    """Refuse what cannot be an image, by its name and its first bytes.

    Raises:
        FileError: a folder without files, or a file of no known format.
    """
    if path.is_dir():
        if not files_below(path):
            raise FileError(f"{path} is a folder without files; need one of DICOM slices.")
    elif image_format(path) is None and not is_dicom(path):
        raise FileError(f"{path} is of unknown format; need {', '.join(IMAGE_SUFFIXES)}, or a folder of DICOM slices.")


def require_label_file(path: Path) -> None:
    """Refuse what cannot be a label map, by its name and its first bytes.

    Raises:
        FileError: a folder, or a file of no known format.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder; need a file.")
    require_scan(path)


def _require_points(path: Path) -> None:
    recognise_points(path)
