"""Points and tables in CSV files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import InputError
from samereg.io.atomic import atomic_file
from samereg.io.text import Row, TextTable, distinct, finite_number, read_rows, refuse_repeated

_AXES = ("x", "y", "z")


def read_points_csv(path: Path) -> tuple[Float64[Tensor, "n 3"], Mapping[str, tuple[str, ...]]]:
    """Reads points from a table with the columns x, y and z, in any order, with or without others.

    Args:
        path: file with comma, semicolon or tab separators, one point per record; for encodings see `read_text`.

    Returns:
        World positions (x, y, z) in LPS+ mm, as in the file, and the texts of every other column. Duplicate
        column names get a number appended.

    Raises:
        FileError: missing, or not text.
        InputError: no header with one x, y and z, no points, a line of another length, or a coordinate that is not a
            finite number.
    """
    table = read_rows(path)
    header = _header(table, path, needed=_AXES, purpose="the columns x, y and z")
    places = [header.index(axis) for axis in _AXES]
    body = table.rows[1:]
    if not body:
        raise InputError(f"{path}: holds no points; need at least one line under its header.")
    points = [[_number(path, row, place, table) for place in places] for row in body]
    names = distinct(tuple(name for name in header if name not in _AXES))
    columns = [column for column in range(len(header)) if column not in places]
    others = {
        name: tuple(row.cells[column].strip() for row in body) for name, column in zip(names, columns, strict=True)
    }
    return torch.tensor(points, dtype=torch.float64), others


def has_header(path: Path) -> bool:
    """Whether the first line of a table is a header, that is, not all numbers.

    Raises:
        FileError: missing, or not text.
    """
    table = read_rows(path)
    if not table.rows:
        return True
    return any(finite_number(cell, has_decimal_comma=table.has_decimal_comma) is None for cell in table.rows[0].cells)


def read_table_csv(path: Path, columns: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Reads named columns of a table, which may have others, in any order.

    Raises:
        FileError: missing, or not text.
        InputError: a column is missing or duplicated, or a line does not have as many cells as the header.
    """
    table = read_rows(path)
    header = _header(table, path, needed=tuple(columns), purpose=f"the columns {', '.join(columns)}")
    return {name: tuple(row.cells[header.index(name)].strip() for row in table.rows[1:]) for name in columns}


def write_table_csv(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    """Writes a header and rows as comma-separated UTF-8 text, atomically.

    Raises:
        FileError: the file cannot be written.
    """
    # Cells may hold file names, which need not be UTF-8.
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _header(table: TextTable, path: Path, *, needed: tuple[str, ...], purpose: str) -> tuple[str, ...]:
    """Column names, after checking that every line has as many cells."""
    header = tuple(name.strip() for name in table.rows[0].cells) if table.rows else ()
    if any(name not in header for name in needed):
        found = ",".join(header) or "nothing"
        raise InputError(f"{path}: begins with {found[:80]!r}; need a header with {purpose}.")
    refuse_repeated(header, needed, path)
    for row in table.rows[1:]:
        if len(row.cells) != len(header):
            raise InputError(f"{path}: line {row.line} has {len(row.cells)} columns; need {len(header)} as the header.")
    return header


def _number(path: Path, row: Row, place: int, table: TextTable) -> float:
    value = finite_number(row.cells[place], has_decimal_comma=table.has_decimal_comma)
    if value is None:
        raise InputError(f"{path}: line {row.line} holds {row.cells[place].strip()[:40]!r}; need a number in mm.")
    return value
