"""Reading of text files and tables in various encodings, with comma, semicolon or tab separators."""

import codecs
import csv
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import FileError, InputError

_LOG = logging.getLogger(__name__)

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; those of UTF-32 come first, because they begin like those of UTF-16."""

_WESTERN = "cp1252"
"""Windows superset of Latin-1, used by spreadsheets that do not write Unicode."""

_WHITE = "\t\n\r\f\v"
_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One record of a table.

    Attributes:
        line: number of its last line; a quoted cell may span several.
        cells: texts without quotes.
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTable:
    """Records of a file, without empty ones.

    Attributes:
        rows: in the order of the file.
        has_decimal_comma: whether numbers may have a decimal comma.
    """

    rows: tuple[Row, ...]
    has_decimal_comma: bool


def read_text(path: Path) -> str:
    """Reads text in UTF-8, UTF-16 or UTF-32; other files are read as Western European, with a warning.

    Raises:
        FileError: missing, or not text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: is not text; need UTF-8, UTF-16 or Latin-1.") from error
    if any(ord(letter) < 32 and letter not in _WHITE for letter in text):
        raise FileError(f"{path}: is not text; need UTF-8, UTF-16 or Latin-1.")
    if encoding == _WESTERN:
        _LOG.warning("%s: is not UTF-8; read as Latin-1 (Windows-1252)", path)
    return text


def read_rows(path: Path) -> TextTable:
    """Reads the records of a table; the separator (comma, semicolon or tab) is detected from the first record.

    Raises:
        FileError: missing, not text, or quotes that are not closed.
    """
    separator, text = _announced(read_text(path))
    separator = separator or _separator(text, path)
    return TextTable(rows=parse_rows(text, path, separator=separator), has_decimal_comma=separator != ",")


def parse_rows(text: str, path: Path, *, separator: str) -> tuple[Row, ...]:
    """Parses a text into records, without empty ones; `path` is the name in messages.

    Raises:
        FileError: quotes that are not closed.
    """
    return tuple(_rows(text, separator, path))


def finite_number(cell: str, *, has_decimal_comma: bool) -> float | None:
    """The number in a cell; None for words, NaN and infinity."""
    text = cell.strip()
    if has_decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    # Python accepts 1_000 as a number; tables do not.
    return value if abs(value) < float("inf") and "_" not in text else None


def refuse_repeated(names: tuple[str, ...], needed: tuple[str, ...], path: Path) -> None:
    """Checks that no required column is duplicated.

    Raises:
        InputError: a column is duplicated.
    """
    for name in needed:
        if names.count(name) > 1:
            raise InputError(f"{path}: has {names.count(name)} columns named {name}; need one.")


def distinct(names: tuple[str, ...], taken: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names made unique by appended numbers."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in (*found, *taken) or (number > 1 and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return tuple(found)


def _encoding(content: bytes) -> str:
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    # In UTF-16, Western letters have a zero byte before or after each.
    if len(content) > 3 and content[1::2][:64].count(0) > len(content[1::2][:64]) // 2:
        return "utf-16-le"
    if len(content) > 3 and content[::2][:64].count(0) > len(content[::2][:64]) // 2:
        return "utf-16-be"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return _WESTERN
    return "utf-8"


def _announced(text: str) -> tuple[str, str]:
    """The separator declared by Excel's first line (`sep=;`), and the text after it."""
    first, _, rest = text.partition("\n")
    word = first.strip("\r \"'")
    return (word[4:], rest) if word.lower().startswith("sep=") and word[4:] in _SEPARATORS else ("", text)


def _separator(text: str, path: Path) -> str:
    """Separator for which the first record has columns x, y and z, or else numbers, or else the most cells."""
    firsts: dict[str, tuple[str, ...]] = {}
    for separator in _SEPARATORS:
        row = next(_rows(text, separator, path, strict=False), Row(line=1, cells=()))
        firsts[separator] = tuple(cell.strip() for cell in row.cells)
    for separator, cells in firsts.items():
        numbers = [finite_number(cell, has_decimal_comma=separator != ",") for cell in cells]
        if {"x", "y", "z"} <= set(cells) or (len(cells) > 1 and None not in numbers):
            return separator
    return max(_SEPARATORS, key=lambda separator: len(firsts[separator]))


def _rows(text: str, separator: str, path: Path, *, strict: bool = True) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(line=reader.line_num, cells=tuple(cells))
    except csv.Error as error:
        line = reader.line_num
        raise FileError(f"{path}: line {line} is not a line of a table ({error}); are its quotes closed?") from error
