"""Parser of MetaImage headers: location and encoding of the voxels."""

from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from samereg.errors import FileError, GeometryError, InputError
from samereg.io.voxel_data import AT_THE_END, Encoding, VoxelData, named_files, whole_number

_MAX_LINE = 1 << 20
_MAX_AXES = 10
_LAST_ENTRY = "ElementDataFile"
_DTYPES = {
    "CHAR": "int8",
    "UCHAR": "uint8",
    "SHORT": "int16",
    "USHORT": "uint16",
    "INT": "int32",
    "UINT": "uint32",
    "LONG": "int32",
    "ULONG": "uint32",
    "LONG_LONG": "int64",
    "ULONG_LONG": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
}
"""Data types by MetaImage's names without MET_; its longs have 32 bits."""
_MM_PER_UNIT = {"": 1.0, "?": 1.0, "mm": 1.0, "cm": 10.0, "um": 0.001}

_PLACE = frozenset(
    ("Offset", "Position", "Origin", "ElementSpacing", "ElementSize", "TransformMatrix", "Rotation", "Orientation")
)
"""Entries that define the location of the voxel data."""
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaImageHeader:
    """A MetaImage header.

    Attributes:
        voxels: location and encoding; the values of a voxel are the fastest axis.
        mm_per_unit: of its positions and spacings.
    """

    voxels: VoxelData
    mm_per_unit: float


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Reads the header of a single file (`.mha`) or of a detached header (`.mhd`).

    Raises:
        FileError: damaged, another format, or data files that are not there.
        GeometryError: an unknown unit.
        InputError: a non-numeric voxel type.
    """
    with path.open("rb") as stream:
        entries, end = _entries(stream), stream.tell()
        listed = stream.read().decode("utf-8", "surrogateescape") if _is_list(entries) else ""
    files = _files(path, entries, listed.split("\n"))
    encoding = _encoding(entries)
    start = whole_number(entries.get("HeaderSize", "0"), "HeaderSize")
    if start == 0 and not files:
        start = end
    voxels = VoxelData(
        files=files or (path,), encoding=encoding, dtype=_dtype(entries), sizes=_sizes(entries), start=start
    )
    _require_packed_size(entries, voxels)
    _require_place(entries)
    unit = entries.get("DistanceUnits", "").strip().lower()
    if unit not in _MM_PER_UNIT:
        raise GeometryError(f"gives its place in the unit {unit!r}; need mm, cm or um.")
    return MetaImageHeader(voxels=voxels, mm_per_unit=_MM_PER_UNIT[unit])


def _entries(stream: BinaryIO) -> dict[str, str]:
    entries: dict[str, str] = {}
    while line := stream.readline(_MAX_LINE).decode("utf-8", "surrogateescape"):
        if not entries and not line.lstrip().startswith(("ObjectType", "NDims", "Comment", "ObjectSubType")):
            break
        name, separator, value = line.partition("=" if "=" in line else ":")
        if separator:
            entries[name.strip()] = value.strip()
        elif line.strip():
            # After such a line ITK ignores the position of the image.
            raise FileError(f"has a damaged header: its line {line.strip()[:40]!r} is no entry.")
        if separator and name.strip() == _LAST_ENTRY:
            return entries
    raise FileError(f"is truncated, damaged, or not MetaImage; need a header that ends with {_LAST_ENTRY}.")


def _is_list(entries: dict[str, str]) -> bool:
    return entries[_LAST_ENTRY].split()[:1] == ["LIST"]


def _files(path: Path, entries: dict[str, str], listed: list[str]) -> tuple[Path, ...]:
    named = entries[_LAST_ENTRY]
    if not named:
        raise FileError(f"has a damaged header: {_LAST_ENTRY} is empty; need LOCAL or the name of a file.")
    if named.upper() == "LOCAL":
        return ()
    names = [name.strip() for name in listed] if _is_list(entries) else [named]
    return tuple(chain.from_iterable(named_files(path.parent, name) for name in names if name))


def _encoding(entries: dict[str, str]) -> Encoding:
    if not _is_true(entries.get("BinaryData", "True")):
        return "ascii"
    return "deflate" if _is_true(entries.get("CompressedData", "False")) else "raw"


def _dtype(entries: dict[str, str]) -> np.dtype[Any]:
    named = entries.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if named not in _DTYPES:
        raise InputError(f"holds voxels of type {entries.get('ElementType', 'unknown')}; need whole or real numbers.")
    order = entries.get("BinaryDataByteOrderMSB", entries.get("ElementByteOrderMSB", "False"))
    return np.dtype(_DTYPES[named]).newbyteorder(">" if _is_true(order) else "<")


def _sizes(entries: dict[str, str]) -> tuple[int, ...]:
    count = whole_number(entries.get("NDims", ""), "NDims")
    sizes = tuple(whole_number(word, "a size") for word in entries.get("DimSize", "").split())
    if len(sizes) != count or not 1 <= count <= _MAX_AXES:
        raise FileError(f"has a damaged header: {len(sizes)} sizes (DimSize) for {count} axes (NDims).")
    components = whole_number(entries.get("ElementNumberOfChannels", "1"), "ElementNumberOfChannels")
    return sizes if components == 1 else (components, *sizes)


def _require_packed_size(entries: dict[str, str], voxels: VoxelData) -> None:
    said = whole_number(entries.get("CompressedDataSize", "0"), "CompressedDataSize")
    if voxels.encoding != "deflate" or said == 0 or len(voxels.files) > 1 or voxels.start == AT_THE_END:
        return
    present = max(0, voxels.files[0].stat().st_size - voxels.start)
    if present != said:
        found = "is truncated" if present < said else "holds more data than its header says"
        raise FileError(f"{found}: its compressed voxels take {said} bytes, {present} are there.")


def _require_place(entries: dict[str, str]) -> None:
    """Checks that the entries of the position are numbers; ITK reads others as 0."""
    axes = whole_number(entries["NDims"], "NDims")
    for name in _PLACE & set(entries):
        words = entries[name].split()
        needed = axes * axes if name in _MATRICES else axes
        if len(words) != needed or not all(_is_number(word) for word in words):
            raise FileError(f"has a damaged header: its {name} is {entries[name][:40]!r}; need {needed} numbers.")
    if entries.get("ObjectType", "Image") != "Image":
        raise FileError(f"holds an object of type {entries['ObjectType'][:20]!r}; need an Image.")


def _is_number(word: str) -> bool:
    try:
        return isfinite(float(word)) and "_" not in word
    except ValueError:
        return False


def _is_true(text: str) -> bool:
    return text[:1] in ("T", "t", "Y", "y", "1")
