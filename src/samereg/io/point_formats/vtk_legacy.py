"""Meshes in legacy VTK format (`.vtk`, text or binary): only the points are read and replaced.

LPS+ mm, unless the title has Slicer's SPACE=RAS.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import FileError, InputError
from samereg.io.atomic import atomic_file
from samereg.io.point_formats.format import PointFormat, by_name, need_source
from samereg.io.point_formats.points import OUTSIDE, MovedPoints, PointSet, between_lps_and

_MAGIC = b"# vtk DataFile"
_CODINGS = (b"ASCII", b"BINARY")
_POINTS = re.compile(rb"\nPOINTS[ \t]+(\d+)[ \t]+(float|double)[ \t]*\r?\n")
_DATASET = re.compile(rb"\nDATASET[ \t]+(\w+)")
_WITH_POINTS = (b"POLYDATA", b"UNSTRUCTURED_GRID", b"STRUCTURED_GRID")
_TYPES = {b"float": ">f4", b"double": ">f8"}
_MARKS = f"SCALARS {OUTSIDE} int 1\nLOOKUP_TABLE default\n".encode()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Mesh:
    """A file split at its points: the part before, the points, and the part after."""

    head: bytes
    points: Float64[Tensor, "n 3"]
    tail: bytes
    dtype: str
    is_binary: bool
    frame: str


def read_vtk(path: Path) -> PointSet:
    """Reads the points of a mesh.

    Raises:
        FileError: missing, truncated, or not legacy VTK.
        InputError: a dataset without points.
    """
    mesh = _parse(path)
    return PointSet(points_mm=between_lps_and(mesh.frame, mesh.points))


def write_vtk(moved: MovedPoints, path: Path, *, source: Path) -> None:
    """Writes the mesh of another file with moved points; cells and data are copied unchanged.

    Adds the point data array `outside`. Normals are not updated.

    Args:
        moved: in the order of `read_vtk`.
        path: output file.
        source: file of the original points.
    """
    mesh = _parse(source)
    values = between_lps_and(mesh.frame, moved.points_mm).numpy().astype(mesh.dtype)
    marks = moved.outside.numpy().astype(">i4")
    tail = _without_marks(mesh.tail, len(marks), is_binary=mesh.is_binary)
    opening = b"" if _ends_in_point_data(tail) else f"POINT_DATA {len(marks)}\n".encode()
    body = values.tobytes() if mesh.is_binary else _as_text(values)
    ending = marks.tobytes() + b"\n" if mesh.is_binary else _as_text(marks[:, None]) + b"\n"
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"".join([mesh.head, body, tail.rstrip(b"\n"), b"\n", opening, _MARKS, ending]))


def _parse(path: Path) -> _Mesh:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if not content.startswith(_MAGIC):
        raise FileError(f"{path}: is not legacy VTK; need a file that begins with '# vtk DataFile'.")
    dataset, points = _DATASET.search(content), _POINTS.search(content)
    if dataset is None or dataset.group(1) not in _WITH_POINTS or points is None:
        kind = dataset.group(1).decode() if dataset else "nothing"
        raise InputError(f"{path}: holds {kind}; need a mesh with POINTS of type float or double.")
    title, coding = content.split(b"\n", 3)[1:3]
    if coding.strip().upper() not in _CODINGS:
        found = coding[:40].decode("latin-1").strip()
        raise FileError(f"{path}: is damaged: its third line is {found!r}; need ASCII or BINARY.")
    is_binary = coding.strip().upper() == b"BINARY"
    count, dtype = 3 * int(points.group(1)), _TYPES[points.group(2)]
    if count > len(content):
        raise FileError(f"{path}: is truncated or damaged: it announces {count} numbers, more than it has bytes.")
    start = points.end()
    stop = start + count * np.dtype(dtype).itemsize if is_binary else _end_of_numbers(content, start, count, path)
    return _Mesh(
        head=content[:start],
        points=_numbers(content[start:stop], count, dtype, path, is_binary=is_binary),
        tail=content[stop:],
        dtype=dtype,
        is_binary=is_binary,
        frame="RAS" if b"SPACE=RAS" in title else "LPS",
    )


def _numbers(block: bytes, count: int, dtype: str, path: Path, *, is_binary: bool) -> Float64[Tensor, "n 3"]:
    try:
        values = np.frombuffer(block, dtype, count) if is_binary else np.array(block.split(), dtype=np.float64)
    except ValueError as error:
        raise FileError(f"{path}: is truncated or damaged: its points are not {count} numbers.") from error
    if not is_binary and b"_" in block:
        raise FileError(f"{path}: has points with '_' in a number; need plain decimals.")
    if count == 0 or not np.isfinite(values).all():
        raise InputError(f"{path}: holds no points, or points that are not finite; need at least one.")
    return torch.from_numpy(values.astype(np.float64).reshape(-1, 3))


def _end_of_numbers(content: bytes, start: int, count: int, path: Path) -> int:
    stop, found = start, 0
    for found, token in enumerate(re.finditer(rb"\S+", content[start:]), start=1):
        stop = start + token.end()
        if found == count:
            return stop
    raise FileError(f"{path}: is truncated: it announces {count} numbers for its points and has {found}.")


def _as_text(values: np.ndarray) -> bytes:
    return "\n".join(" ".join(f"{value:.9g}" for value in row) for row in values.tolist()).encode()


def _ends_in_point_data(tail: bytes) -> bool:
    return tail.rfind(b"\nPOINT_DATA ") > tail.rfind(b"\nCELL_DATA ")


def _without_marks(tail: bytes, count: int, *, is_binary: bool) -> bytes:
    """The end of a file without the `outside` array of an earlier run."""
    place = tail.rfind(_MARKS)
    rest = tail[place + len(_MARKS) :]
    is_ours = len(rest) == 4 * count + 1 if is_binary else len(rest.split()) == count
    if place < 0 or not is_ours:
        return tail
    return tail[:place].removesuffix(f"POINT_DATA {count}\n".encode())


VTK = PointFormat(
    name="vtk",
    suffixes=(".vtk",),
    needs=("source",),
    recognise=by_name("vtk", ".vtk"),
    read=lambda path, _: read_vtk(path),
    write=lambda moved, path, source, _: write_vtk(moved, path, source=need_source(source, path)),
)
