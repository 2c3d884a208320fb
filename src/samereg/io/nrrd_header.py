"""Parser of NRRD headers: location of the voxels, and what ITK ignores (units, axes without a position)."""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import BinaryIO

import numpy as np

from samereg.errors import FileError, GeometryError, InputError
from samereg.io.voxel_data import Encoding, VoxelData, named_files, whole_number

_MAX_LINE = 1 << 20
_MAX_AXES = 16
_MAX_NUMBER = 1e9
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "txt": "ascii",
    "text": "ascii",
    "ascii": "ascii",
    "hex": "hex",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
}
_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_DTYPES = {name: np.dtype(dtype) for dtype, names in _TYPES.items() for name in names}
_MM_PER_UNIT = {
    **dict.fromkeys(("", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometre"), 0.001),
}
_SPACE_KINDS = ("domain", "space", "time", "none", "???")
_ANATOMICAL = {
    "left-posterior-superior",
    "lps",
    "right-anterior-superior",
    "ras",
    "left-anterior-superior",
    "las",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NrrdHeader:
    """An NRRD header.

    Attributes:
        voxels: location and encoding.
        mm_per_unit: along the spatial axes (x, y, z).
        component_axis: index in the sizes of the axis of voxel components, if any.
        doubt: assumptions about the position, for the log; empty if there are none.
    """

    voxels: VoxelData
    mm_per_unit: tuple[float, float, float]
    component_axis: int
    doubt: str


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Reads an attached (`.nrrd`) or detached (`.nhdr`) header.

    Raises:
        FileError: damaged, another format, or data files that are not there.
        GeometryError: axes without a direction, no distance between voxels, or an unknown unit.
        InputError: a non-numeric voxel type.
    """
    with path.open("rb") as stream:
        fields, listed = _fields(stream)
        end = stream.tell()
    voxels = _voxels(path, fields, listed, end)
    return NrrdHeader(
        voxels=voxels,
        mm_per_unit=_mm_per_unit(fields),
        component_axis=_component_axis(fields),
        doubt=_doubt(fields, len(voxels.sizes)),
    )


def _fields(stream: BinaryIO) -> tuple[dict[str, str], list[str]]:
    """Fields by lower-case name without spaces, and the data files listed after them."""
    if not re.fullmatch(rb"NRRD000[1-9]\s*", stream.readline(_MAX_LINE)):
        raise FileError("is not NRRD, or damaged; need a file that begins with NRRD and its version.")
    fields: dict[str, str] = {}
    while line := stream.readline(_MAX_LINE).decode("utf-8", "surrogateescape"):
        text = line.rstrip("\r\n")
        if not text:
            break
        name, separator, value = text.partition(":")
        if text.startswith("#") or not separator or value.startswith("="):
            continue
        name = name.lower().replace(" ", "")
        fields[name] = value.strip()
        if name == "datafile" and value.split()[:1] == ["LIST"]:
            return fields, [listed.strip() for listed in stream.read().decode("utf-8", "surrogateescape").split("\n")]
    return fields, []


def _voxels(path: Path, fields: dict[str, str], listed: list[str], end: int) -> VoxelData:
    encoding = _ENCODINGS.get(_needed(fields, "encoding").lower())
    if encoding is None:
        raise FileError(f"has voxels encoded as {fields['encoding']!r}; need {', '.join(sorted(_ENCODINGS))}.")
    files = _files(path, fields, listed)
    return VoxelData(
        files=files or (path,),
        encoding=encoding,
        dtype=_dtype(fields, encoding),
        sizes=_sizes(fields),
        start=0 if files else end,
        lines=max(0, whole_number(fields.get("lineskip", "0"), "line skip")),
        skipped=whole_number(fields.get("byteskip", "0"), "byte skip"),
    )


def _needed(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise FileError(f"has no {name} in its header; it is truncated, damaged, or not NRRD.")
    return fields[name]


def _files(path: Path, fields: dict[str, str], listed: list[str]) -> tuple[Path, ...]:
    named = fields.get("datafile")
    if named is None:
        return ()
    if named.split()[:1] != ["LIST"]:
        return tuple(named_files(path.parent, named))
    return tuple(file for name in listed if name for file in named_files(path.parent, name))


def _sizes(fields: dict[str, str]) -> tuple[int, ...]:
    count = whole_number(_needed(fields, "dimension"), "dimension")
    sizes = tuple(whole_number(word, "a size") for word in _needed(fields, "sizes").split())
    if len(sizes) != count or not 1 <= count <= _MAX_AXES:
        raise FileError(f"has a damaged header: {len(sizes)} sizes for {count} axes.")
    return sizes


def _dtype(fields: dict[str, str], encoding: Encoding) -> np.dtype[np.generic]:
    name = " ".join(_needed(fields, "type").lower().split())
    if name not in _DTYPES:
        raise InputError(f"holds voxels of type {name}; need whole or real numbers.")
    dtype = _DTYPES[name]
    order = fields.get("endian", "").lower()
    if order not in ("", "little", "big") or (not order and dtype.itemsize > 1 and encoding != "ascii"):
        raise FileError(f"has a damaged header: its byte order (endian) is {order!r}; need little or big.")
    return dtype.newbyteorder(">" if order == "big" else "<")


def _component_axis(fields: dict[str, str]) -> int:
    kinds = fields.get("kinds", "").lower().split()
    return next((axis for axis, kind in enumerate(kinds) if kind not in _SPACE_KINDS), 0)


def _mm_per_unit(fields: dict[str, str]) -> tuple[float, float, float]:
    # Space units belong to directions, axis units to spacings, whose axes are those of space.
    named = fields.get("spaceunits", "") if "spacedirections" in fields else fields.get("units", "")
    units = re.findall(r'"([^"]*)"', named)[:3]
    factors = [_MM_PER_UNIT.get(unit.strip().lower()) for unit in units]
    for unit, factor in zip(units, factors, strict=True):
        if factor is None:
            raise GeometryError(f"gives its place in the unit {unit!r}; need mm, cm, m or um.")
    x, y, z = ([factor for factor in factors if factor is not None] + [1.0] * 3)[:3]
    return x, y, z


def _doubt(fields: dict[str, str], axes: int) -> str:
    """Assumptions about the position; an error if there is no spacing."""
    if "spacedirections" in fields:
        return _doubt_of_directions(fields, axes)
    if "spacings" in fields:
        missing = sum(not _is_number(word) for word in fields["spacings"].split())
        if missing > max(0, axes - 3):
            raise GeometryError(f"gives the spacings {fields['spacings']}; need a number for each axis of space.")
        return "gives no space; assuming LPS axes"
    if "thicknesses" in fields:
        raise GeometryError("gives thicknesses, but neither space directions nor spacings; need the voxel spacing.")
    return "gives neither space directions nor spacings; assuming 1 mm voxels and LPS axes"


def _doubt_of_directions(fields: dict[str, str], axes: int) -> str:
    vectors = re.findall(r"\(([^)]*)\)", fields["spacedirections"])
    given = len(vectors)
    origin = re.findall(r"\(([^)]*)\)", fields.get("spaceorigin", ""))
    for word in (word.strip() for vector in (*vectors, *origin) for word in vector.split(",")):
        if not _is_number(word):
            raise GeometryError(f"holds {word[:20]!r} in its directions or origin; need numbers in mm.")
    if axes >= 3 and given < 3:
        raise GeometryError(f"gives a direction (space directions) for {given} of its axes; need one for each of 3.")
    space = fields.get("space", "").lower()
    # ITK writes 4-D series without a named space.
    if space.removesuffix("-time").removesuffix("t") in _ANATOMICAL or (not space and axes > 3):
        return ""
    named = f"names the space {space}, which is not anatomical" if space else "names no space"
    return f"{named}; assuming LPS axes"


def _is_number(word: str) -> bool:
    try:
        # ITK's direction lengths overflow for values far beyond any scan, and are then ignored.
        return isfinite(float(word)) and abs(float(word)) < _MAX_NUMBER and "_" not in word
    except ValueError:
        return False
