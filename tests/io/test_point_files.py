"""Points survive their files, whatever the frame; what is not points is kept, and what cannot be read is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from laws import GRIDS
from samereg.errors import FileError, InputError, UsageError
from samereg.io.point_files import POINT_FORMATS, format_to_write, recognise_points
from samereg.io.point_formats.fcsv import read_fcsv, write_fcsv
from samereg.io.point_formats.keypoints import read_keypoints, write_keypoints
from samereg.io.point_formats.markups import read_markups, write_markups
from samereg.io.point_formats.points import MovedPoints
from samereg.io.point_formats.stl import read_stl, write_stl
from samereg.io.point_formats.table import read_table, write_table
from samereg.io.point_formats.vtk_legacy import read_vtk, write_vtk

POINTS = torch.tensor([[1.0, -2.0, 3.5], [40.0, 5.0, -6.25], [0.0, 0.125, 9.0]], dtype=torch.float64)
MOVED = MovedPoints(points_mm=POINTS + 10.0, outside=torch.tensor([False, True, False]))

MARKUPS = {
    "@schema": "https://example.org/markups-schema-v1.0.3.json#",
    "markups": [
        {
            "type": "Curve",
            "coordinateSystem": "RAS",
            "coordinateUnits": "mm",
            "controlPoints": [
                {"id": "1", "label": "A", "position": [-1.0, 2.0, 3.5], "positionStatus": "defined", "locked": True},
                {"id": "2", "label": "B", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"},
                {"id": "3", "label": "C", "position": [-40.0, -5.0, -6.25], "positionStatus": "defined"},
            ],
            "measurements": [{"name": "length", "value": 12.0}],
            "display": {"color": [0.5, 0.5, 0.5]},
        },
        {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [{"label": "D", "position": [0, 0.125, 9]}]},
    ],
}

FCSV = """\
# Markups fiducial file version = 4.11
# CoordinateSystem = {frame}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
v1,{x0},{y0},3.5,0,0,0,1,1,1,0,A,"tip, left",vtkNode1
v2,{x1},{y1},-6.25,0,0,0,1,1,1,0,B,,
v3,{x2},{y2},9,0,0,0,1,1,1,0,C,,
"""


def fcsv_text(frame: str, sign: float) -> str:
    values = {f"{axis}{row}": sign * float(POINTS[row, k]) for row in range(3) for k, axis in enumerate("xy")}
    return FCSV.format(frame=frame, **values)


def test_a_table_keeps_its_columns_and_marks_points_outside(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('name,x,y,z,note\na,1,-2,3.5,"one, two"\nb,40,5,-6.25,\nc,0,0.125,9,z\n')
    points = read_table(source)
    torch.testing.assert_close(points.points_mm, POINTS)
    write_table(MovedPoints(points_mm=POINTS, outside=MOVED.outside, columns=points.columns), out)
    again = read_table(out)
    torch.testing.assert_close(again.points_mm, POINTS)
    assert again.columns == {"name": ("a", "b", "c"), "note": ("one, two", "", "z"), "outside": ("0", "1", "0")}


def test_markups_are_moved_in_their_own_frame_and_keep_the_rest(tmp_path: Path) -> None:
    source, out = tmp_path / "in.mrk.json", tmp_path / "out.mrk.json"
    source.write_text(json.dumps(MARKUPS))
    points = read_markups(source)
    torch.testing.assert_close(points.points_mm, POINTS)
    assert points.columns["label"] == ("A", "C", "D")
    write_markups(MOVED, out, source=source)
    torch.testing.assert_close(read_markups(out).points_mm, MOVED.points_mm)
    curve, fiducial = json.loads(out.read_text())["markups"]
    assert curve["coordinateSystem"] == "RAS"
    assert curve["controlPoints"][0]["position"] == [-11.0, -8.0, 13.5]
    assert curve["controlPoints"][1] == MARKUPS["markups"][0]["controlPoints"][1]
    assert [point.get("outside") for point in curve["controlPoints"]] == [False, None, True]
    assert curve["display"] == {"color": [0.5, 0.5, 0.5]}
    assert "measurements" not in curve
    assert fiducial["controlPoints"][0]["label"] == "D"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"type": "ROI"}, "a markup of type ROI"),
        ({"coordinateSystem": "IJK"}, "points in IJK, mm"),
        ({"coordinateUnits": ["um", "UCUM", "micrometer"]}, "points in RAS, um"),
        ({"controlPoints": [{"position": [1, 2]}]}, "need three numbers"),
    ],
)
def test_markups_that_cannot_be_moved_are_refused(change: dict[str, object], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "in.mrk.json"
    path.write_text(json.dumps({"markups": [{**MARKUPS["markups"][0], **change}]}))
    with pytest.raises(InputError, match=sentence):
        read_markups(path)


@pytest.mark.parametrize(("frame", "sign"), [("LPS", 1.0), ("1", 1.0), ("RAS", -1.0), ("0", -1.0)])
def test_lists_of_slicer_are_read_in_the_frame_that_they_name(frame: str, sign: float, tmp_path: Path) -> None:
    source, out = tmp_path / "in.fcsv", tmp_path / "out.fcsv"
    source.write_text(fcsv_text(frame, sign))
    torch.testing.assert_close(read_fcsv(source).points_mm, POINTS)
    write_fcsv(MOVED, out, source=source)
    again = read_fcsv(out)
    torch.testing.assert_close(again.points_mm, MOVED.points_mm)
    assert again.columns == {"label": ("A", "B", "C"), "desc": ("tip, left", "outside", "")}
    assert f"CoordinateSystem = {frame}" in out.read_text()
    assert "vtkNode1" in out.read_text()


def test_voxels_as_frame_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.fcsv"
    path.write_text(fcsv_text("IJK", 1.0))
    with pytest.raises(InputError, match="in the frame IJK"):
        read_fcsv(path)


@pytest.mark.parametrize("name", ["new.mrk.json", "new.fcsv", "new.csv"])
def test_a_list_of_one_format_becomes_one_of_another(name: str, tmp_path: Path) -> None:
    chosen = POINT_FORMATS[format_to_write(tmp_path / name, "csv")]
    named = MovedPoints(points_mm=POINTS, outside=MOVED.outside, columns={"label": ("p", "q", "r")})
    chosen.write(named, tmp_path / name, None, None)
    again = chosen.read(tmp_path / name, None)
    torch.testing.assert_close(again.points_mm, POINTS)
    assert again.columns["label"] == ("p", "q", "r")


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_keypoints_are_voxels_along_the_axes_of_the_file(grid: object, tmp_path: Path) -> None:
    path = tmp_path / "keypoints.csv"
    path.write_text("3,1,2\n0.5,0,4\n")
    points = read_keypoints(path, grid).points_mm
    # (i, j, k) of NIfTI is (w, h, d) here.
    torch.testing.assert_close(points[0], grid.to_world(torch.tensor([2.0, 1.0, 3.0])))
    write_keypoints(MovedPoints(points_mm=points, outside=torch.tensor([False, True])), path, grid)
    assert np.allclose(np.loadtxt(path, delimiter=","), [[3, 1, 2], [0.5, 0, 4]], atol=1e-3)


VTK_TEXT = """\
# vtk DataFile Version 3.0
{title}
ASCII
DATASET POLYDATA
POINTS 3 float
{points}
POLYGONS 1 4
3 0 1 2
CELL_DATA 1
SCALARS region int 1
LOOKUP_TABLE default
7
"""


def vtk_file(path: Path, *, binary: bool, title: str = "a mesh") -> Path:
    points = POINTS * torch.tensor([-1.0, -1.0, 1.0]) if "RAS" in title else POINTS
    text = VTK_TEXT.format(title=title, points="\n".join(" ".join(map(str, p)) for p in points.tolist()))
    if not binary:
        path.write_text(text)
        return path
    head, rest = text.replace("ASCII", "BINARY").split("POINTS 3 float\n")
    cells = rest[rest.index("POLYGONS") :].split("\n")
    content = head.encode() + b"POINTS 3 double\n" + points.numpy().astype(">f8").tobytes() + b"\n"
    content += cells[0].encode() + b"\n" + np.array([3, 0, 1, 2], ">i4").tobytes() + b"\n"
    content += "\n".join(cells[2:5]).encode() + b"\n" + np.array([7], ">i4").tobytes() + b"\n"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("title", ["a mesh", "3D Slicer output. SPACE=RAS"])
def test_a_mesh_moves_its_points_and_keeps_its_cells(binary: bool, title: str, tmp_path: Path) -> None:
    source, out = vtk_file(tmp_path / "in.vtk", binary=binary, title=title), tmp_path / "out.vtk"
    torch.testing.assert_close(read_vtk(source).points_mm, POINTS)
    write_vtk(MOVED, out, source=source)
    torch.testing.assert_close(read_vtk(out).points_mm, MOVED.points_mm)
    before, after = source.read_bytes(), out.read_bytes()
    kept = before[before.index(b"POLYGONS") :].rstrip(b"\n")
    assert kept in after
    assert b"POINT_DATA 3\nSCALARS outside int 1\n" in after
    write_vtk(MOVED, tmp_path / "twice.vtk", source=out)
    assert (tmp_path / "twice.vtk").read_bytes() == after


@pytest.mark.parametrize("binary", [False, True])
def test_a_mesh_with_a_line_too_many_or_too_few_before_its_data_is_refused(binary: bool, tmp_path: Path) -> None:
    # Its title, which says the frame, would be another line.
    path = vtk_file(tmp_path / "in.vtk", binary=binary, title="SPACE=RAS")
    content = path.read_bytes()
    for damaged in (b"# vtk DataFile Version 3.0\n" + content, content.replace(b"SPACE=RAS\n", b"", 1)):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=r"in\.vtk: is damaged: its third line is '.+'; need ASCII or BINARY"):
            read_vtk(path)


@pytest.mark.parametrize("binary", [False, True])
def test_another_reader_finds_cells_and_marks_in_a_moved_mesh(binary: bool, tmp_path: Path) -> None:
    legacy = pytest.importorskip("vtkmodules.vtkIOLegacy")
    source, out = vtk_file(tmp_path / "in.vtk", binary=binary), tmp_path / "out.vtk"
    write_vtk(MOVED, out, source=source)
    reader = legacy.vtkPolyDataReader()
    reader.SetFileName(str(out))
    reader.Update()
    mesh = reader.GetOutput()
    np.testing.assert_allclose([mesh.GetPoint(n) for n in range(3)], MOVED.points_mm.numpy(), rtol=1e-6)
    assert [mesh.GetCell(0).GetPointId(n) for n in range(3)] == [0, 1, 2]
    assert mesh.GetCellData().GetArray("region").GetTuple1(0) == 7
    assert [mesh.GetPointData().GetArray("outside").GetTuple1(n) for n in range(3)] == [0, 1, 0]


def stl_file(path: Path, *, binary: bool) -> Path:
    corners = POINTS.numpy().astype("<f4")
    if binary:
        triangle = np.zeros(3, "<f4").tobytes() + corners.tobytes() + b"\0\0"
        path.write_bytes(b"a surface".ljust(80) + (1).to_bytes(4, "little") + triangle)
    else:
        vertices = "\n".join("vertex " + " ".join(map(str, p)) for p in corners.tolist())
        path.write_text(f"solid it\nfacet normal 0 0 0\nouter loop\n{vertices}\nendloop\nendfacet\nendsolid it\n")
    return path


@pytest.mark.parametrize("binary", [False, True])
def test_a_surface_moves_its_corners_and_gets_new_normals(binary: bool, tmp_path: Path) -> None:
    source, out = stl_file(tmp_path / "in.stl", binary=binary), tmp_path / "out.stl"
    torch.testing.assert_close(read_stl(source).points_mm, POINTS)
    write_stl(MOVED, out, source=source)
    torch.testing.assert_close(read_stl(out).points_mm, MOVED.points_mm, atol=1e-5, rtol=0)
    geometry = pytest.importorskip("vtkmodules.vtkIOGeometry")
    reader = geometry.vtkSTLReader()
    reader.SetFileName(str(out))
    reader.Update()
    corners = reader.GetOutput().GetCell(0).GetPoints()
    np.testing.assert_allclose([corners.GetPoint(n) for n in range(3)], MOVED.points_mm.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.annot", b"x", "ITK-SNAP"),
        ("a.vtp", b"x", "legacy .vtk"),
        ("a.xyz", b"x", "unknown point format"),
        ("a.json", b"{}", r"\.mrk\.json"),
    ],
)
def test_formats_that_are_not_read_are_named(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=sentence):
        recognise_points(tmp_path / name)


@pytest.mark.parametrize("suffix", [".vtk", ".stl", ".mrk.json", ".fcsv", ".csv"])
def test_other_bytes_are_no_points(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    for content in (b"hello", b"# vtk DataFile", np.random.default_rng(0).bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="bad"):
            POINT_FORMATS[recognise_points(path)].read(path, GRIDS["LPS"])


@pytest.mark.parametrize("binary", [False, True])
def test_a_truncated_mesh_is_refused(binary: bool, tmp_path: Path) -> None:
    path = vtk_file(tmp_path / "in.vtk", binary=binary)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"POINTS") + 30])
    with pytest.raises(FileError, match="truncated"):
        read_vtk(path)


def test_csv_without_a_header_is_taken_for_keypoints(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    (tmp_path / "b.csv").write_text("x,y,z\n1,2,3\n")
    assert recognise_points(tmp_path / "a.csv") == "learn2reg"
    assert recognise_points(tmp_path / "b.csv") == "csv"


def test_a_list_of_points_becomes_no_mesh(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a mesh keeps its format"):
        format_to_write(tmp_path / "out.stl", "csv")
    with pytest.raises(UsageError, match="a mesh keeps its format"):
        format_to_write(tmp_path / "out.csv", "vtk")
