"""STL meshes (text or binary): triangle vertices in LPS+ mm, unless the header has Slicer's SPACE=RAS."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, InputError
from samereg.io.atomic import atomic_file
from samereg.io.point_formats.format import PointFormat, by_name, need_source
from samereg.io.point_formats.points import MovedPoints, PointSet, between_lps_and

_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER_BYTES = 80
_LINES = ((b"facet", 5), (b"outer", 2), *((b"vertex", 4),) * 3, (b"endloop", 1), (b"endfacet", 1))
"""First word and number of words of each line of a triangle."""
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Surface:
    """Header and triangles; in binary files `triangles` includes normals and attributes."""

    header: bytes
    corners: NDArray[np.float64]
    triangles: NDArray[Any] | None
    frame: str


def read_stl(path: Path) -> PointSet:
    """Reads the vertices of all triangles, three per triangle.

    Raises:
        FileError: missing, truncated, or not STL.
        InputError: no triangles, or numbers that are not finite.
    """
    surface = _parse(path)
    corners = torch.from_numpy(surface.corners.reshape(-1, 3))
    return PointSet(points_mm=between_lps_and(surface.frame, corners))


def write_stl(moved: MovedPoints, path: Path, *, source: Path) -> None:
    """Writes the triangles of another file with moved vertices and new normals; the format cannot mark points.

    Args:
        moved: in the order of `read_stl`.
        path: output file.
        source: file of the original vertices.
    """
    surface = _parse(source)
    corners = between_lps_and(surface.frame, moved.points_mm).numpy().reshape(-1, 3, 3)
    content = _binary(surface, corners) if surface.triangles is not None else _text(surface, corners)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _parse(path: Path) -> _Surface:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    start = _HEADER_BYTES + 4
    count = int.from_bytes(content[_HEADER_BYTES:start], "little")
    if len(content) == start + count * _TRIANGLE.itemsize:
        triangles = np.frombuffer(content, _TRIANGLE, count, start)
        header, corners = content[:_HEADER_BYTES], triangles["corners"].astype(np.float64)
    elif content.lstrip().startswith(b"solid") and b"endsolid" in content:
        triangles = None
        header, corners = content.lstrip().split(b"\n", 1)[0], _corners_of_text(content, path)
    else:
        raise FileError(f"{path}: is truncated, or not STL; need triangles as text, or 50 bytes for each.")
    if not corners.size or not np.isfinite(corners).all():
        raise InputError(f"{path}: holds no triangles, or corners that are not finite; need at least one.")
    frame = "RAS" if b"SPACE=RAS" in header else "LPS"
    return _Surface(header=header, corners=corners, triangles=triangles, frame=frame)


def _corners_of_text(content: bytes, path: Path) -> NDArray[np.float64]:
    _require_structure(content, path)
    found = _VERTEX.findall(content)
    try:
        return np.array(found, dtype=np.float64).reshape(-1, 3, 3)
    except ValueError as error:
        raise FileError(f"{path}: has a vertex that is not three numbers, or a triangle without three.") from error


def _require_structure(content: bytes, path: Path) -> None:
    """Checks that the lines of a text file form complete triangles in solids."""
    lines = [words for line in content.splitlines() if (words := line.split())]
    inner = [words for words in lines if words[0].lower() not in (b"solid", b"endsolid")]
    for number, words in enumerate(inner):
        name, count = _LINES[number % len(_LINES)]
        if words[0].lower() != name or len(words) != count or (name == b"vertex" and b"_" in b"".join(words[1:])):
            raise FileError(f"{path}: has the line {b' '.join(words)[:40]!r} where a triangle needs {name.decode()}.")
    if len(inner) % len(_LINES):
        raise FileError(f"{path}: ends within a triangle; it is truncated or damaged.")


def _normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0.0, lengths, 1.0)


def _binary(surface: _Surface, corners: NDArray[np.float64]) -> bytes:
    triangles = np.array(surface.triangles, copy=True)
    triangles["corners"], triangles["normal"] = corners, _normals(corners)
    return surface.header + len(triangles).to_bytes(4, "little") + triangles.tobytes()


def _text(surface: _Surface, corners: NDArray[np.float64]) -> bytes:
    lines = [surface.header.decode("utf-8", "replace").rstrip()]
    for normal, triangle in zip(_normals(corners).tolist(), corners.tolist(), strict=True):
        lines += [f"  facet normal {_joined(normal)}", "    outer loop"]
        lines += [f"      vertex {_joined(corner)}" for corner in triangle]
        lines += ["    endloop", "  endfacet"]
    name = lines[0].removeprefix("solid").strip()
    return ("\n".join([*lines, f"endsolid {name}".rstrip()]) + "\n").encode()


def _joined(values: list[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)


STL = PointFormat(
    name="stl",
    suffixes=(".stl",),
    needs=("source",),
    marks=False,
    recognise=by_name("stl", ".stl"),
    read=lambda path, _: read_stl(path),
    write=lambda moved, path, source, _: write_stl(moved, path, source=need_source(source, path)),
)
