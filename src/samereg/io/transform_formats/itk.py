"""ITK's own files: `.h5` and `.tfm` of any parts; `.mat` and `.txt` of one linear map, as ANTs and Slicer have them."""

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
    """Write all parts of a transform (`.h5`, `.tfm`), or an affine map alone (`.mat`, `.txt`, also `.tfm`).

    Raises:
        TransformError: a linear file is asked for, but the transform bends.
    """
    if has_suffix(path, LINEAR_SUFFIXES) or (isinstance(transform, Affine) and has_suffix(path, (".tfm",))):
        return write_linear(transform, path, spaces)
    write_transform(transform, path)
    return (path,)


def write_linear(transform: Transform, path: Path, _: Spaces) -> tuple[Path, ...]:
    """Write an affine map alone, not inside a composite: what `-r`, `-t0` and other starting points take.

    Raises:
        TransformError: the transform bends.
    """
    affine = to_itk_affine(as_affine(transform, str(path)))
    with atomic_file(path) as temporary, quiet_itk():
        save_transform(affine, temporary, name=path)
    return (path,)


def read_itk_file(path: Path, _: Spaces) -> Transform:
    """All parts of a file; see `read_transform`."""
    return read_transform(path)


def _recognise(path: Path) -> Recognised | None:
    if has_suffix(path, WRITTEN_SUFFIXES):
        return Recognised(format="itk", sureness="said", why="a transform file of ITK")
    content = beginning(path)
    if content.startswith(_TEXT_MAGIC):
        return Recognised(format="itk", sureness="said", why="it begins as text files of ITK do")
    if b"AffineTransform" in content[_MATLAB_HEADER : _MATLAB_HEADER + 60] or b"_double_3_3" in content:
        return Recognised(format="itk", sureness="said", why="a Matlab file as ITK and ANTs write")
    if has_suffix(path, LINEAR_SUFFIXES):
        return Recognised(format="itk", sureness="named", why="its name; its content was not recognised")
    return None


ITK = TransformFormat(
    name="itk",
    holds="any parts, and affine maps alone",
    frame="LPS",
    units="mm",
    suffixes=TRANSFORM_SUFFIXES,
    written=WRITTEN_SUFFIXES,
    recognise=_recognise,
    read=read_itk_file,
    write=write_itk_file,
)
