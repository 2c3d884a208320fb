"""Reading and writing of points in all formats: the registry of formats, and their common functions."""

from pathlib import Path

from samereg.errors import FileError, UsageError
from samereg.io.formats import has_suffix, suffix_of
from samereg.io.point_formats.fcsv import FCSV
from samereg.io.point_formats.format import PointFormat
from samereg.io.point_formats.keypoints import KEYPOINTS
from samereg.io.point_formats.markups import MARKUPS
from samereg.io.point_formats.stl import STL
from samereg.io.point_formats.table import CSV
from samereg.io.point_formats.vtk_legacy import VTK

FORMATS: tuple[PointFormat, ...] = (CSV, MARKUPS, FCSV, KEYPOINTS, VTK, STL)

POINT_FORMATS: dict[str, PointFormat] = {each.name: each for each in FORMATS}

_REFUSED = {
    ".annot": "an annotation file of ITK-SNAP, whose coordinates no document defines; export the points as CSV",
    ".vtp": "XML of VTK; save it as legacy .vtk",
    ".ply": "PLY; save it as .vtk or .stl",
    ".obj": "OBJ; save it as .vtk or .stl",
    ".json": "JSON of unknown kind; markups of Slicer end in .mrk.json",
}
"""Formats that are not supported, with advice."""


def recognise_points(path: Path) -> str:
    """Format of a point file, by its suffix, and for CSV by whether it begins with a header.

    Raises:
        FileError: an unsupported format.
    """
    found = next((answer for each in FORMATS if (answer := each.recognise(path)) is not None), None)
    if found is not None:
        return found.format
    refused = suffix_of(path, _REFUSED)
    if refused:
        raise FileError(f"{path}: is {_REFUSED[refused]}.")
    known = ", ".join(sorted({suffix for each in FORMATS for suffix in each.suffixes}))
    raise FileError(f"{path}: has an unknown point format; need {known}.")


def format_to_write(path: Path, source: str) -> str:
    """Format of an output by its suffix; if ambiguous, that of the input points.

    Raises:
        UsageError: an unsupported format, or a conversion between points and a mesh.
    """
    fitting = [each.name for each in FORMATS if has_suffix(path, each.suffixes)]
    if not fitting:
        raise UsageError(f"{path}: has no suffix of a point format that can be written; need {source}, as the input.")
    chosen = source if source in fitting else fitting[0]
    if chosen != source and (POINT_FORMATS[chosen].is_mesh or POINT_FORMATS[source].is_mesh):
        raise UsageError(f"{path}: cannot be written from {source}; a mesh keeps its format.")
    return chosen
