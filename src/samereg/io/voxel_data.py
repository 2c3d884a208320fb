"""Voxel data of NRRD and MetaImage files: located, checked for size, and read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samereg.errors import FileError
from samereg.io.packed import GZIP_MAGIC, Packing, unpack
from samereg.io.stored import naming

Encoding = Literal["raw", "deflate", "gzip", "bzip2", "hex", "ascii"]
"""`deflate` means zlib or gzip, detected from the data."""

AT_THE_END = -1
"""Offset that means that the voxels are the last bytes of the file."""
_COUNTER = re.compile(r"%0?[0-9]{0,2}[du]")
_PATTERN = re.compile(r"(?P<name>.*%\S*)\s+(?P<first>-?\d+)\s+(?P<last>-?\d+)\s+(?P<step>-?\d+)(\s+\d+)?")
_HEX_DIGITS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelData:
    """Location and encoding of the voxels, from a header.

    Attributes:
        files: data files in order, with equal numbers of voxels.
        encoding: of the values.
        dtype: data type, with byte order.
        sizes: along the axes of the file, the fastest first.
        start: offset in each file, in bytes; see `AT_THE_END`.
        lines: lines to skip after that offset.
        skipped: bytes to skip after those lines; for compressed data, after decompression.
    """

    files: tuple[Path, ...]
    encoding: Encoding
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    start: int = 0
    lines: int = 0
    skipped: int = 0

    @property
    def share(self) -> int:
        """Number of values in each file."""
        return prod(self.sizes) // len(self.files)


def read_voxels(data: VoxelData) -> NDArray[Any]:
    """Reads the voxels, the slowest axis first.

    Raises:
        FileError: missing files, damage, or more or fewer numbers than the header says.
    """
    if not data.files or min(data.sizes, default=0) < 1 or prod(data.sizes) % len(data.files):
        shown = " x ".join(map(str, data.sizes))
        raise FileError(f"has {shown} voxels in {len(data.files)} files; need an equal share in each.")
    shares = []
    for file in data.files:
        with naming(file):
            shares.append(_read_share(data, file))
    array = shares[0] if len(shares) == 1 else np.concatenate(shares)
    return array.reshape(data.sizes[::-1])


def named_files(folder: Path, text: str) -> Iterator[Path]:
    """Data files that a header names: one, or several by a counter (`slice%03d.raw 1 120 1`).

    Raises:
        FileError: an invalid counter, or a missing file.
    """
    row = _PATTERN.fullmatch(text)
    if row is None:
        yield _existing(folder / text)
        return
    name, first, last, step = row["name"], *(int(row[part][:12]) for part in ("first", "last", "step"))
    if not _COUNTER.search(name) or step == 0:
        raise FileError(f"names its data files by {text!r}; need a counter such as slice%03d.raw 1 120 1.")
    for number in range(first, last + (1 if step > 0 else -1), step):
        yield _existing(folder / _COUNTER.sub(lambda found, n=number: found[0] % n, name, count=1))


def whole_number(text: str, what: str) -> int:
    """Parses a whole number of a header.

    Raises:
        FileError: something else.
    """
    if not re.fullmatch(r"[+-]?\d{1,18}", text.strip()):
        raise FileError(f"has a damaged header: {what} is {text.strip()[:40]!r}; need a whole number.")
    return int(text)


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileError(f"names the data file {file}, which does not exist; need both files in place.")
    return file


def _read_share(data: VoxelData, file: Path) -> NDArray[Any]:
    needed = data.share * data.dtype.itemsize
    start = _start(data, file, needed)
    if data.encoding == "raw":
        return _read_raw(data, file, start)
    with file.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    if data.encoding == "ascii":
        return _from_ascii(data, content)
    if data.encoding == "hex":
        return _numbers(data, _from_hex(content, needed))
    packing = _packing(data.encoding, content)
    return _numbers(data, unpack(content, packing, data.skipped + needed), data.skipped)


def _packing(encoding: Literal["deflate", "gzip", "bzip2"], content: bytes) -> Packing:
    if encoding != "deflate":
        return encoding
    return "gzip" if content.startswith(GZIP_MAGIC) else "zlib"


def _start(data: VoxelData, file: Path, needed: int) -> int:
    if AT_THE_END in (data.start, data.skipped):
        if data.encoding != "raw":
            raise FileError("says that its voxels are at the end, but not how long they are; need them uncompressed.")
        return max(0, file.stat().st_size - needed)
    with file.open("rb") as stream:
        stream.seek(data.start)
        for _ in range(data.lines):
            if not stream.readline():
                raise FileError(f"is truncated: {data.lines} lines before its voxels are not there.")
        return stream.tell() + (data.skipped if data.encoding in ("raw", "hex", "ascii") else 0)


def _read_raw(data: VoxelData, file: Path, start: int) -> NDArray[Any]:
    needed, present = data.share * data.dtype.itemsize, max(0, file.stat().st_size - start)
    if present < needed:
        raise FileError(f"is truncated: its voxels take {needed} bytes, but {present} are there.")
    if present > needed:
        raise FileError(f"holds more data than its header says: its voxels take {needed} bytes, {present} are there.")
    return np.fromfile(file, dtype=data.dtype, count=data.share, offset=start)


def _from_hex(content: bytes, needed: int) -> bytes:
    digits = b"".join(content.split())
    if len(digits) != _HEX_DIGITS * needed:
        raise FileError(f"holds {len(digits)} hexadecimal digits; its header says {_HEX_DIGITS * needed}.")
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError as error:
        raise FileError("is damaged: its voxels are not hexadecimal digits.") from error


def _from_ascii(data: VoxelData, content: bytes) -> NDArray[Any]:
    words = content.replace(b",", b" ").split()
    if len(words) != data.share:
        raise FileError(f"holds {len(words)} numbers as text; its header says {data.share}.")
    try:
        if data.dtype.kind == "f":
            return np.array([float(word) for word in words], dtype=data.dtype)
        return np.array([int(word) for word in words], dtype=data.dtype)
    except (ValueError, OverflowError) as error:
        raise FileError(f"is damaged: its voxels are not numbers of type {data.dtype.name}.") from error


def _numbers(data: VoxelData, content: bytes | bytearray, offset: int = 0) -> NDArray[Any]:
    return np.frombuffer(content, dtype=data.dtype, count=data.share, offset=offset)
