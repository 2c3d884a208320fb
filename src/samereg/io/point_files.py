"""Points from and to files, whatever the format; one entry for each format of `point_formats`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samereg.errors import FileError, UsageError
from samereg.geometry.grid import Grid
from samereg.io.point_formats.fcsv import read_fcsv, write_fcsv
from samereg.io.point_formats.keypoints import read_keypoints, write_keypoints
from samereg.io.point_formats.markups import read_markups, write_markups
from samereg.io.point_formats.points import MovedPoints, PointSet
from samereg.io.point_formats.stl import read_stl, write_stl
from samereg.io.point_formats.table import read_table, write_table
from samereg.io.point_formats.vtk_legacy import read_vtk, write_vtk
from samereg.io.points import has_header

PointFormatName = Literal["csv", "markups", "fcsv", "learn2reg", "vtk", "stl"]

Read = Callable[[Path, Grid | None], PointSet]
Write = Callable[[MovedPoints, Path, Path | None, Grid | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PointFormat:
    """One format of point files.

    Attributes:
        suffix: what names of such files end in.
        read: points of a file; takes the image that voxel coordinates belong to.
        write: takes the points, the file to write, the file of the same format that they came from, if any, and
            the image that voxel coordinates belong to.
        marks: whether a point outside can be marked in the file.
        is_mesh: whether points are corners of something, which no list of points can become.
        is_voxels: whether coordinates are voxels of an image.
    """

    suffix: str
    read: Read
    write: Write
    marks: bool = True
    is_mesh: bool = False
    is_voxels: bool = False


def _image(grid: Grid | None) -> Grid:
    if grid is None:
        raise UsageError("Got keypoints in voxels without their image; need -f FIXED and -m MOVING.")
    return grid


def _source(path: Path | None, output: Path) -> Path:
    if path is None:
        raise UsageError(f"{output}: a mesh can only be made from a mesh of the same format.")
    return path


POINT_FORMATS: dict[PointFormatName, PointFormat] = {
    "csv": PointFormat(
        suffix=".csv",
        read=lambda path, _: read_table(path),
        write=lambda moved, path, _source, _grid: write_table(moved, path),
    ),
    "markups": PointFormat(
        suffix=".mrk.json",
        read=lambda path, _: read_markups(path),
        write=lambda moved, path, source, _: write_markups(moved, path, source=source),
    ),
    "fcsv": PointFormat(
        suffix=".fcsv",
        read=lambda path, _: read_fcsv(path),
        write=lambda moved, path, source, _: write_fcsv(moved, path, source=source),
    ),
    "learn2reg": PointFormat(
        suffix=".csv",
        read=lambda path, grid: read_keypoints(path, _image(grid)),
        write=lambda moved, path, _, grid: write_keypoints(moved, path, _image(grid)),
        marks=False,
        is_voxels=True,
    ),
    "vtk": PointFormat(
        suffix=".vtk",
        read=lambda path, _: read_vtk(path),
        write=lambda moved, path, source, _: write_vtk(moved, path, source=_source(source, path)),
        is_mesh=True,
    ),
    "stl": PointFormat(
        suffix=".stl",
        read=lambda path, _: read_stl(path),
        write=lambda moved, path, source, _: write_stl(moved, path, source=_source(source, path)),
        marks=False,
        is_mesh=True,
    ),
}

_REFUSED = {
    ".annot": "an annotation file of ITK-SNAP, whose coordinates no document defines; export the points as CSV",
    ".vtp": "XML of VTK; save it as legacy .vtk",
    ".ply": "PLY; save it as .vtk or .stl",
    ".obj": "OBJ; save it as .vtk or .stl",
    ".json": "JSON of unknown kind; markups of Slicer end in .mrk.json",
}


def recognise_points(path: Path) -> PointFormatName:
    """Format of a point file: by its name, and for CSV by whether it begins with a header.

    Raises:
        FileError: a format that is not read.
    """
    lowered = path.name.lower()
    for suffix, what in _REFUSED.items():
        if lowered.endswith(suffix) and not lowered.endswith(".mrk.json"):
            raise FileError(f"{path}: is {what}.")
    for name, entry in POINT_FORMATS.items():
        if lowered.endswith(entry.suffix):
            return name if name != "csv" or has_header(path) else "learn2reg"
    known = ", ".join(sorted({entry.suffix for entry in POINT_FORMATS.values()}))
    raise FileError(f"{path}: is of no known point format; need {known}.")


def format_to_write(path: Path, source: PointFormatName) -> PointFormatName:
    """Format that a file name asks for; a `.csv` has voxels if the points came in voxels.

    Raises:
        UsageError: a format that is not written, or a list of points that should become a mesh or the reverse.
    """
    fitting = [name for name, entry in POINT_FORMATS.items() if path.name.lower().endswith(entry.suffix)]
    if not fitting:
        raise UsageError(f"{path}: is of no point format that is written; need a name in {source}, as the input.")
    chosen: PointFormatName = source if source in fitting else fitting[0]
    meshes = POINT_FORMATS[chosen].is_mesh, POINT_FORMATS[source].is_mesh
    if chosen != source and any(meshes):
        raise UsageError(f"{path}: cannot be made from {source}; a mesh keeps its format.")
    return chosen
