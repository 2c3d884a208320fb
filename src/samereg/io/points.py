"""Points and tables as CSV text."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import FileError, InputError
from samereg.io.atomic import atomic_file

_AXES = ("x", "y", "z")


def read_points_csv(path: Path) -> tuple[Float64[Tensor, "n 3"], Mapping[str, tuple[str, ...]]]:
    """Points of a CSV file whose header names the columns x, y and z, in any order, with or without others.

    Args:
        path: the file; comma-separated, UTF-8, one point per line.

    Returns:
        World positions (x, y, z), LPS+ mm as the file gives them, and the texts of every other column.

    Raises:
        FileError: no such file, or not text.
        InputError: no header with x, y and z, no points, or a coordinate that is not a finite number.
    """
    rows = _read_rows(path)
    header = [name.strip() for name in rows[0]] if rows else []
    places = [header.index(axis) if axis in header else -1 for axis in _AXES]
    if min(places) < 0:
        found = ",".join(header) or "nothing"
        raise InputError(f"{path}: begins with {found[:80]!r}; need a header with the columns x, y and z.")
    body = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)]
    if not body:
        raise InputError(f"{path}: holds no points; need at least one line under its header.")
    for number, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}: line {number} has {len(row)} columns; need {len(header)} as the header.")
    points = [[_number(path, number, row[place]) for place in places] for number, row in body]
    others = {
        name: tuple(row[column].strip() for _, row in body)
        for column, name in enumerate(header)
        if column not in places
    }
    return torch.tensor(points, dtype=torch.float64), others


def has_header(path: Path) -> bool:
    """Whether the first line of a CSV file holds words; a file of numbers alone has no header.

    Raises:
        FileError: no such file, or not text.
    """
    first = next((row for row in _read_rows(path) if any(cell.strip() for cell in row)), [])
    return not first or any(_is_word(cell) for cell in first)


def read_table_csv(path: Path, columns: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Texts of the named columns of a CSV file, whatever other columns it has and in whatever order.

    Raises:
        FileError: no such file, or not text.
        InputError: a column is missing, or a line has another number of cells than the header.
    """
    rows = _read_rows(path)
    header = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in columns if name not in header]
    if missing:
        found = ",".join(header) or "nothing"
        raise InputError(f"{path}: begins with {found[:80]!r}; need a header with the column {missing[0]}.")
    body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    if any(len(row) != len(header) for row in body):
        raise InputError(f"{path}: has lines of different lengths; need {len(header)} cells in each, as the header.")
    return {name: tuple(row[header.index(name)].strip() for row in body) for name in columns}


def write_table_csv(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write a header and rows as comma-separated UTF-8 text, whole or not at all.

    Raises:
        FileError: the file cannot be written.
    """
    # Cells may hold names of files, which need not be UTF-8.
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _read_rows(path: Path) -> list[list[str]]:
    try:
        # Spreadsheets put a byte-order mark before the first header cell.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path}: is not comma-separated text; need a CSV file.") from error
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _is_word(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _number(path: Path, line: int, text: str) -> float:
    try:
        # Python takes 1_000 for a number; no other tool does.
        value = float("nan") if "_" in text else float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InputError(f"{path}: line {line} holds {text.strip()[:40]!r}; need a number in mm.")
    return value
