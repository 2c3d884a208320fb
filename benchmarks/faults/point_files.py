"""Point files of every format as damaged bases, and readers that follow each format's own definition."""

import csv
import io
import json
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.faults.format import Format, Unreadable, Value
from benchmarks.faults.transform_readers import grid
from samereg.io.format_names import PointFormatName
from samereg.io.point_files import POINT_FORMATS as READERS
from samereg.io.point_files import recognise_points
from samereg.io.point_formats.points import MovedPoints

_SIGNS = {"LPS": np.array([1.0, 1.0, 1.0]), "RAS": np.array([-1.0, -1.0, 1.0])}
_TRIANGLES = 4


def positions() -> NDArray[np.float64]:
    """Positions of every base, mm, with few decimals."""
    return np.random.default_rng(3).uniform(-90.0, 90.0, (5, 3)).round(3)


def _labels() -> tuple[str, ...]:
    return tuple(f"point {number}" for number in range(len(positions())))


def _moved() -> MovedPoints:
    count = len(positions())
    outside = torch.zeros(count, dtype=torch.bool)
    return MovedPoints(points_mm=torch.from_numpy(positions()), outside=outside, columns={"label": _labels()})


def _read(file: str, name: PointFormatName) -> Callable[[Path], Value]:
    def read(folder: Path) -> Value:
        path = folder / file
        # As the command does: the format is told from the name, and for CSV from its first line.
        chosen = recognise_points(path) if name in ("csv", "learn2reg") else name
        found = READERS[chosen].read(path, grid())
        kept = {key: list(texts) for key, texts in found.columns.items() if key in ("label", "desc")}
        return {"points": found.points_mm.numpy(), **kept}

    return read


def _points_value(points: Any, **columns: list[str]) -> Value:
    array = np.array(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0 or not np.isfinite(array).all():
        raise Unreadable("no finite points")
    return {"points": array, **columns}


def _table_text(path: Path) -> str:
    """Text of a table: UTF-8, or what spreadsheets write where they do not write that."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _csv_by_csv(folder: Path) -> Value:
    text = _table_text(folder / "points.csv")
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row)]
    if all(_isplain_number(cell) for cell in rows[0]):
        return _keypoints_of(rows)
    header = [cell.strip() for cell in rows[0]]
    if any(len(row) != len(header) for row in rows) or len(set(header)) != len(header):
        raise Unreadable("rows and header do not fit")
    body = [dict(zip(header, row, strict=True)) for row in rows[1:]]
    columns = {name: [row[name].strip() for row in body] for name in ("label", "desc") if name in header}
    return _points_value([[plain_number(row[axis]) for axis in "xyz"] for row in body], **columns)


def _keypoints_by_csv(folder: Path) -> Value:
    text = _table_text(folder / "keypoints.csv")
    return _keypoints_of([row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)])


def _keypoints_of(rows: list[list[str]]) -> Value:
    voxels = _points_value([[plain_number(cell) for cell in row] for row in rows])["points"]
    affine = grid().affine.numpy()
    return {"points": voxels[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]}


def plain_number(text: str) -> float:
    """A decimal number and nothing else: no `nan`, no `1_000`."""
    if not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text, re.ASCII):
        raise Unreadable(text)
    return float(text)


def _isplain_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _markups_by_json(folder: Path) -> Value:
    points: list[NDArray[np.float64]] = []
    labels: list[str] = []
    frames = {"LPS": "LPS", "RAS": "RAS", "0": "RAS", "1": "LPS"}
    for markup in json.loads((folder / "points.mrk.json").read_bytes().decode("utf-8-sig"))["markups"]:
        signs = _SIGNS[frames[str(markup.get("coordinateSystem", "LPS"))]]
        if markup.get("coordinateUnits", "mm") not in ("mm", ["mm", "UCUM"], ["mm"]):
            raise Unreadable("unit")
        for point in markup.get("controlPoints", []):
            if point.get("positionStatus") != "undefined" and point.get("position") is not None:
                if any(isinstance(value, bool) for value in point["position"]):
                    raise Unreadable("true is no number")
                points.append(np.array(point["position"], dtype=np.float64) * signs)
                labels.append(str(point.get("label", "")))
    return _points_value(points, label=labels)


def _fcsv_by_csv(folder: Path) -> Value:
    lines = _table_text(folder / "points.fcsv").splitlines()
    header = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.lstrip("# ").partition("=") for line in lines if line.startswith("#"))
    }
    frames = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
    signs = _SIGNS[frames[header.get("coordinatesystem", "RAS").upper()]]
    default = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    names = [name.strip() for name in header.get("columns", default).split(",")]
    rows = [
        dict(zip(names, row, strict=False))
        for row in csv.reader([line for line in lines if line.strip() and line[0] != "#"])
    ]
    columns = {name: [row.get(name, "") for row in rows] for name in ("label", "desc") if name in names}
    return _points_value([np.array([plain_number(row[axis]) for axis in "xyz"]) * signs for row in rows], **columns)


def _make_vtk(folder: Path, *, binary: bool) -> None:
    points = positions()
    polygons = np.array([[3, 0, 1, 2], [3, 1, 2, 3], [3, 2, 3, 4]], dtype=">i4")
    body = points.astype(">f4").tobytes() if binary else "\n".join(" ".join(map(str, row)) for row in points).encode()
    cells = polygons.tobytes() if binary else "\n".join(" ".join(map(str, row)) for row in polygons).encode()
    head = f"# vtk DataFile Version 3.0\nmesh SPACE=RAS\n{'BINARY' if binary else 'ASCII'}\nDATASET POLYDATA\n".encode()
    parts = [
        head,
        f"POINTS {len(points)} float\n".encode(),
        body,
        f"\nPOLYGONS 3 {polygons.size}\n".encode(),
        cells,
        b"\n",
    ]
    (folder / "mesh.vtk").write_bytes(b"".join(parts))


def _vtk_by_hand(folder: Path) -> Value:
    content = (folder / "mesh.vtk").read_bytes()
    magic, title, coding, rest = content.split(b"\n", 3)
    if not magic.startswith(b"# vtk DataFile Version"):
        raise Unreadable("magic")
    frame = "RAS" if b"SPACE=RAS" in title else "LPS"
    dataset, announced, body = rest.split(b"\n", 2)
    if dataset.split()[0] != b"DATASET" or dataset.split()[1] not in (
        b"POLYDATA",
        b"UNSTRUCTURED_GRID",
        b"STRUCTURED_GRID",
    ):
        raise Unreadable("no mesh")
    word, count, kind = announced.split()
    if word != b"POINTS":
        raise Unreadable("no points")
    numbers = 3 * int(count)
    if coding.strip() == b"BINARY":
        points = np.frombuffer(body, {b"float": ">f4", b"double": ">f8"}[kind], numbers).astype(np.float64)
    elif coding.strip() == b"ASCII":
        points = np.array([plain_number(token.decode("ascii")) for token in body.split()[:numbers]])
    else:
        raise Unreadable("coding")
    return _points_value(points.reshape(int(count), 3) * _SIGNS[frame])


def _make_stl(folder: Path, *, binary: bool) -> None:
    corners = np.random.default_rng(4).uniform(-50.0, 50.0, (_TRIANGLES, 3, 3)).round(3)
    if binary:
        records = b"".join(struct.pack("<12f2x", 0.0, 0.0, 1.0, *triangle.ravel()) for triangle in corners)
        (folder / "mesh.stl").write_bytes(b"mesh SPACE=RAS".ljust(80) + _TRIANGLES.to_bytes(4, "little") + records)
        return
    lines = ["solid mesh SPACE=RAS"]
    for triangle in corners:
        vertices = [f"      vertex {x} {y} {z}" for x, y, z in triangle]
        lines += ["  facet normal 0 0 1", "    outer loop", *vertices, "    endloop", "  endfacet"]
    (folder / "mesh.stl").write_text("\n".join([*lines, "endsolid mesh"]) + "\n")


def _stl_by_hand(folder: Path) -> Value:
    content = (folder / "mesh.stl").read_bytes()
    count = int.from_bytes(content[80:84], "little")
    if len(content) == 84 + 50 * count:
        head = content[:80]
        points = [
            struct.unpack_from("<3f", content, 84 + 50 * n + 12 * corner) for n in range(count) for corner in (1, 2, 3)
        ]
    else:
        head = content.lstrip().split(b"\n", 1)[0]
        points = [tuple(corner) for corner in _stl_vertices(content.decode("latin-1"))]
    return _points_value(np.array(points) * _SIGNS["RAS" if b"SPACE=RAS" in head else "LPS"])


def _stl_vertices(text: str) -> list[list[float]]:
    words = [line.split() for line in text.strip().splitlines()[1:] if line.strip()]
    pattern = ("facet", "outer", "vertex", "vertex", "vertex", "endloop", "endfacet")
    points = []
    for number, line in enumerate(words[: len(words) - len(words) % 7]):
        if line[0] != pattern[number % 7]:
            raise Unreadable("structure")
        if line[0] == "vertex":
            points.append([plain_number(word) for word in line[1:]])
    if len(words) % 7 != 1 or words[-1][0] != "endsolid":
        raise Unreadable("ends early")
    return points


def _written(file: str, name: PointFormatName) -> Callable[[Path], None]:
    return lambda folder: READERS[name].write(_moved(), folder / file, None, grid())


def _format(
    name: str, file: str, kind: PointFormatName, make: Callable[[Path], None], reference: Callable[[Path], Value]
) -> Format:
    return Format(name=name, make=make, read=_read(file, kind), reference=reference, legitimate=_LEGITIMATE[kind])


_LEGITIMATE: Mapping[PointFormatName, str] = {
    "csv": "what the cells of a well-formed table say",
    "markups": "what the JSON says",
    "fcsv": "what the cells and the header say",
    "learn2reg": "what the cells of a table of three numbers a row say",
    "vtk": "what the announced points are; cells and data are not looked at",
    "stl": "what the corners are",
}

POINT_FORMATS: tuple[Format, ...] = (
    _format("points csv", "points.csv", "csv", _written("points.csv", "csv"), _csv_by_csv),
    _format("markups", "points.mrk.json", "markups", _written("points.mrk.json", "markups"), _markups_by_json),
    _format("fcsv", "points.fcsv", "fcsv", _written("points.fcsv", "fcsv"), _fcsv_by_csv),
    _format("keypoints", "keypoints.csv", "learn2reg", _written("keypoints.csv", "learn2reg"), _keypoints_by_csv),
    _format("vtk text", "mesh.vtk", "vtk", lambda folder: _make_vtk(folder, binary=False), _vtk_by_hand),
    _format("vtk binary", "mesh.vtk", "vtk", lambda folder: _make_vtk(folder, binary=True), _vtk_by_hand),
    _format("stl text", "mesh.stl", "stl", lambda folder: _make_stl(folder, binary=False), _stl_by_hand),
    _format("stl binary", "mesh.stl", "stl", lambda folder: _make_stl(folder, binary=True), _stl_by_hand),
)
