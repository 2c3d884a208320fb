"""ITK's own files: `.h5` and `.tfm` of any parts; `.mat` and `.txt` of one linear map, as ANTs and Slicer have them."""

from pathlib import Path

from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.itk import quiet_itk
from samereg.io.itk_files import save_transform
from samereg.io.transform_formats.spaces import Spaces, as_affine
from samereg.io.transforms import to_itk_affine, write_transform

_LINEAR = (".mat", ".txt")


def write_itk_file(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write all parts of a transform (`.h5`, `.tfm`), or an affine map alone (`.mat`, `.txt`, also `.tfm`).

    Raises:
        TransformError: a linear file is asked for, but the transform bends.
    """
    if path.suffix.lower() in _LINEAR or (isinstance(transform, Affine) and path.suffix.lower() == ".tfm"):
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
