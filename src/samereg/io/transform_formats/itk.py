"""ITK transform files: `.h5` and `.tfm` of any parts; `.mat` and `.txt` of one linear map, as in ANTs and Slicer."""

from pathlib import Path

from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised, has_suffix
from samereg.io.itk import quiet_itk
from samereg.io.itk_files import save_transform
from samereg.io.transform_formats.beginning import beginning
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.spaces import Spaces, as_affine
from samereg.io.transforms import (
    LINEAR_SUFFIXES,
    TRANSFORM_SUFFIXES,
    WRITTEN_SUFFIXES,
    read_transform,
    to_itk_affine,
    write_transform,
)

_TEXT_MAGIC = b"#Insight Transform File"
_MATLAB_HEADER = 20
"""Bytes before the name of the first matrix in the Matlab files that ITK writes."""


def write_itk_file(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes all parts of a transform (`.h5`, `.tfm`), or a single affine map (`.mat`, `.txt`, `.tfm`).

    Raises:
        TransformError: a linear file for a transform that is not affine.
    """
    if has_suffix(path, LINEAR_SUFFIXES) or (isinstance(transform, Affine) and has_suffix(path, (".tfm",))):
        return write_linear(transform, path, spaces)
    write_transform(transform, path)
    return (path,)


def write_linear(transform: Transform, path: Path, _: Spaces) -> tuple[Path, ...]:
    """Writes a single affine map, not in a composite, as `-r`, `-t0` and other initial transforms require.

    Raises:
        TransformError: the transform is not affine.
    """
    affine = to_itk_affine(as_affine(transform, str(path)))
    with atomic_file(path) as temporary, quiet_itk():
        save_transform(affine, temporary, name=path)
    return (path,)


def read_itk_file(path: Path, _: Spaces) -> Transform:
    """Reads all parts of a file; see `read_transform`."""
    return read_transform(path)


def _recognise(path: Path) -> Recognised | None:
    if has_suffix(path, WRITTEN_SUFFIXES):
        return Recognised(format="itk", certainty="declared", why="a transform file of ITK")
    content = beginning(path)
    if content.startswith(_TEXT_MAGIC):
        return Recognised(format="itk", certainty="declared", why="it begins like ITK text files")
    if b"AffineTransform" in content[_MATLAB_HEADER : _MATLAB_HEADER + 60] or b"_double_3_3" in content:
        return Recognised(format="itk", certainty="declared", why="a Matlab file as written by ITK and ANTs")
    if has_suffix(path, LINEAR_SUFFIXES):
        return Recognised(format="itk", certainty="name", why="its name; its content was not recognised")
    return None


ITK = TransformFormat(
    name="itk",
    holds="any transform, and single affine maps",
    frame="LPS",
    units="mm",
    suffixes=TRANSFORM_SUFFIXES,
    written=WRITTEN_SUFFIXES,
    recognise=_recognise,
    read=read_itk_file,
    write=write_itk_file,
)
