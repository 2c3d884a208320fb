"""Headers of NRRD files: where the voxels lie, and what ITK leaves out of account (units, axes without a place)."""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import BinaryIO

import numpy as np

from samereg.errors import FileError, GeometryError, InputError
from samereg.io.voxel_data import Encoding, VoxelData, named_files, whole_number

_LONGEST_LINE = 1 << 20
_MOST_AXES = 16
_LARGEST = 1e9
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
    """A header of NRRD.

    Attributes:
        voxels: where they lie, and how they are written.
        mm_per_unit: along the axes (x, y, z) of space.
        component_axis: of the sizes, holds the numbers of a voxel where there are several.
        doubt: what the reader of a log should know of the place; empty where nothing was assumed.
    """

    voxels: VoxelData
    mm_per_unit: tuple[float, float, float]
    component_axis: int
    doubt: str


def read_nrrd_header(path: Path) -> NrrdHeader:
    """The header of a file, attached to its voxels (`.nrrd`) or not (`.nhdr`).

    Raises:
        FileError: damaged, another format, or data files that are not there.
        GeometryError: axes without a direction, no distance between voxels, or an unknown unit.
        InputError: voxels that are no numbers.
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
    """Fields by name, lower case and without spaces; and the names of files listed after them."""
    if not re.fullmatch(rb"NRRD000[1-9]\s*", stream.readline(_LONGEST_LINE)):
        raise FileError("is not NRRD, or damaged; need a file that begins with NRRD and its version.")
    fields: dict[str, str] = {}
    while line := stream.readline(_LONGEST_LINE).decode("utf-8", "surrogateescape"):
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
    if len(sizes) != count or not 1 <= count <= _MOST_AXES:
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
    # Units of space go with directions; units of axes with spacings, whose axes are those of space.
    named = fields.get("spaceunits", "") if "spacedirections" in fields else fields.get("units", "")
    units = re.findall(r'"([^"]*)"', named)[:3]
    factors = [_MM_PER_UNIT.get(unit.strip().lower()) for unit in units]
    for unit, factor in zip(units, factors, strict=True):
        if factor is None:
            raise GeometryError(f"gives its place in the unit {unit!r}; need mm, cm, m or um.")
    x, y, z = ([factor for factor in factors if factor is not None] + [1.0] * 3)[:3]
    return x, y, z


def _doubt(fields: dict[str, str], axes: int) -> str:
    """What has to be assumed of the place; without a distance between voxels nothing can be."""
    if "spacedirections" in fields:
        return _doubt_of_directions(fields, axes)
    if "spacings" in fields:
        missing = sum(not _is_number(word) for word in fields["spacings"].split())
        if missing > max(0, axes - 3):
            raise GeometryError(f"gives the spacings {fields['spacings']}; need a number for each axis of space.")
        return "gives no space; axes taken for LPS"
    if "thicknesses" in fields:
        raise GeometryError("gives thicknesses, but neither space directions nor spacings; need how far voxels lie.")
    return "gives neither space directions nor spacings; voxels taken for 1 mm, axes for LPS"


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
    # ITK writes series of volumes, of four axes, without a name of space.
    if space.removesuffix("-time").removesuffix("t") in _ANATOMICAL or (not space and axes > 3):
        return ""
    named = f"names the space {space}, which is not anatomical" if space else "names no space"
    return f"{named}; axes taken for LPS"


def _is_number(word: str) -> bool:
    try:
        # ITK's lengths of directions overflow far beyond what any scan has, and count as none.
        return isfinite(float(word)) and abs(float(word)) < _LARGEST and "_" not in word
    except ValueError:
        return False
