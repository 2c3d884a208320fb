"""MetaImage and NRRD read by hand, by their definitions: the readers that samereg's are held against."""

import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.format import Unreadable, Value

_METAIMAGE_TYPES = dict(
    zip(
        [
            "MET_CHAR",
            "MET_UCHAR",
            "MET_SHORT",
            "MET_USHORT",
            "MET_INT",
            "MET_UINT",
            "MET_LONG",
            "MET_ULONG",
            "MET_LONG_LONG",
            "MET_ULONG_LONG",
            "MET_FLOAT",
            "MET_DOUBLE",
        ],
        ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "i8", "u8", "f4", "f8"],
        strict=True,
    )
)


def metaimage_by_hand(folder: Path, name: str) -> Value:
    """The same of a MetaImage, by its documented text header; entries of unknown names are free text."""
    content = (folder / name).read_bytes()
    entries: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in entries:
        end = content.find(b"\n", position)
        if end < 0:
            raise Unreadable("header ends early")
        key, _, value = content[position:end].decode("latin-1").partition("=")
        entries[key.strip()] = value.strip()
        position = end + 1
    sizes = [int(word) for word in entries["DimSize"].split()]
    if int(entries["NDims"]) != len(sizes) or len(sizes) != 3 or entries.get("ObjectType", "Image") != "Image":
        raise Unreadable("not one 3-D image")
    payload = (
        content[position:]
        if entries["ElementDataFile"] == "LOCAL"
        else (folder / entries["ElementDataFile"]).read_bytes()
    )
    if entries.get("CompressedData", "False").lower().startswith(("t", "1")):
        payload = _inflated(payload, int(entries.get("CompressedDataSize", len(payload))))
    msb = (
        entries.get("BinaryDataByteOrderMSB", entries.get("ElementByteOrderMSB", "False"))
        .lower()
        .startswith(("t", "1"))
    )
    dtype = np.dtype((">" if msb else "<") + _METAIMAGE_TYPES[entries["ElementType"]])
    channels = int(entries.get("ElementNumberOfChannels", "1"))
    voxels = _shaped(payload, dtype, sizes, channels)
    words = {name: _floats(entries.get(name, default)) for name, default in _METAIMAGE_DEFAULTS.items()}
    origin = next((_floats(entries[key]) for key in ("Offset", "Position", "Origin") if key in entries), [0.0] * 3)
    return {"voxels": voxels, "affine": affine_of(words["TransformMatrix"], words["ElementSpacing"], origin)}


_METAIMAGE_DEFAULTS = {"TransformMatrix": "1 0 0 0 1 0 0 0 1", "ElementSpacing": "1 1 1"}


def _floats(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def affine_of(rows: list[float], spacing: list[float], origin: list[float]) -> NDArray[np.float64]:
    """Affine of (d, h, w, 1) of axes in the order (w, h, d), one row of `rows` each."""
    affine = np.eye(4)
    affine[:3, :3] = (np.reshape(rows, (3, 3)) * np.reshape(spacing, (3, 1)))[::-1].T
    affine[:3, 3] = origin
    return affine


def _inflated(payload: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    content = unpacker.decompress(payload[:size])
    if not unpacker.eof:
        raise Unreadable("compressed data end early")
    return content


def _shaped(payload: bytes, dtype: np.dtype[Any], sizes: list[int], channels: int = 1) -> NDArray[np.float64]:
    if min(sizes) < 1 or channels < 1 or len(payload) < prod(sizes) * channels * dtype.itemsize:
        raise Unreadable("fewer numbers than announced")
    array = np.frombuffer(payload, dtype, prod(sizes) * channels)
    if channels == 1:
        return array.reshape(sizes[::-1]).astype(np.float64)
    return np.moveaxis(array.reshape(*sizes[::-1], channels), -1, 0).astype(np.float64)


_NRRD_NAMES: Mapping[str, str] = {
    "i1": "signed char,int8,int8_t",
    "u1": "uchar,unsigned char,uint8,uint8_t",
    "i2": "short,short int,signed short,signed short int,int16,int16_t",
    "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "i4": "int,signed int,int32,int32_t",
    "u4": "uint,unsigned int,uint32,uint32_t",
    "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
    "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
    "f4": "float",
    "f8": "double",
}
_NRRD_TYPES = {name: code for code, names in _NRRD_NAMES.items() for name in names.split(",")}
_NRRD_SIGNS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}


def nrrd_by_hand(folder: Path, name: str) -> Value:
    """The same of an NRRD, by the format's definition: fields of unknown names are refused, keys `:=` are free text."""
    content = (folder / name).read_bytes()
    head, found, payload = content.partition(b"\n\n")
    if not found and b"data file" not in head:
        raise Unreadable("header ends early")
    entries = _nrrd_entries(head.decode("latin-1"))
    if "data file" in entries:
        payload = (folder / entries["data file"]).read_bytes()
    if entries["encoding"] in ("gzip", "gz"):
        payload = _inflated(payload, len(payload))
    elif entries["encoding"] != "raw":
        raise Unreadable("encoding")
    sizes = [int(word) for word in entries["sizes"].split()]
    dtype = np.dtype(
        ("<" if entries.get("endian", "little") == "little" else ">") + _NRRD_TYPES[entries["type"].lower()]
    )
    return _nrrd_value(entries, payload, dtype, sizes)


def _nrrd_value(entries: Mapping[str, str], payload: bytes, dtype: np.dtype[Any], sizes: list[int]) -> Value:
    vectors = [
        _floats(word.strip("()").replace(",", " ")) for word in entries["space directions"].split() if word != "none"
    ]
    channels = 1
    if len(sizes) == 4 and len(vectors) == 3:
        channels, *sizes = sizes
    if int(entries["dimension"]) != len(sizes) + (channels > 1) or len(vectors) != 3 or len(sizes) != 3:
        raise Unreadable("not three axes")
    signs = np.diag(_NRRD_SIGNS[entries["space"].lower()])
    origin = _floats(entries.get("space origin", "(0,0,0)").strip("()").replace(",", " "))
    affine = np.eye(4)
    affine[:3, :3] = (signs @ np.array(vectors).T)[:, ::-1]
    affine[:3, 3] = signs @ np.array(origin)
    return {"voxels": _shaped(payload, dtype, sizes, channels), "affine": affine}


_NRRD_FIELDS = frozenset(
    [
        "type",
        "dimension",
        "space",
        "sizes",
        "space directions",
        "kinds",
        "endian",
        "encoding",
        "space origin",
        "data file",
        "datafile",
        "content",
        "space units",
        "labels",
        "units",
        "spacings",
        "thicknesses",
        "axis mins",
        "axis maxs",
        "centers",
        "centerings",
        "measurement frame",
        "min",
        "max",
        "old min",
        "old max",
        "number",
        "sample units",
        "line skip",
        "byte skip",
        "block size",
        "space dimension",
    ]
)


def _nrrd_entries(head: str) -> dict[str, str]:
    magic, *lines = head.splitlines()
    if magic not in {f"NRRD000{version}" for version in range(1, 6)}:
        raise Unreadable("magic")
    entries: dict[str, str] = {}
    for line in lines:
        if line.startswith("#") or ":=" in line or not line.strip():
            continue
        key, _, value = line.partition(": ")
        if key.lower() not in _NRRD_FIELDS or key.lower() in entries:
            raise Unreadable(f"field {key}")
        entries[key.lower()] = value.strip()
    return entries
