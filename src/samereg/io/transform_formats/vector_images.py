"""Displacement fields as images of vectors: NIfTI 5-D of intent 1007, MetaImage, NRRD; LPS mm, fixed to moving.

What ITK, ANTs, greedy (its warps) and Slicer read and write.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from samereg.errors import UsageError
from samereg.geometry.displacement import Displacement
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised, has_suffix
from samereg.io.itk import METAIMAGE_SUFFIXES, NRRD_SUFFIXES, VOXEL_SUFFIXES, place_on_grid, quiet_itk, read_header
from samereg.io.itk_files import save_image
from samereg.io.nifti import NIFTI_SUFFIXES
from samereg.io.stored import naming, require_usable_grid
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.nifti_vectors import INTENT_VECTOR, vector_header
from samereg.io.transform_formats.spaces import Spaces, as_field
from samereg.io.transforms import read_transform

_WRITTEN = (*NIFTI_SUFFIXES, ".mha", ".nrrd")
_VECTORS = (3, 3)
"""Axes, and numbers in each voxel."""


def write_vector_image(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write a transform as displacements on the fixed grid, or on the grid of its first field.

    Raises:
        UsageError: no grid to write it on, or a file name whose format is not written.
        FileError: the file cannot be written.
    """
    if not has_suffix(path, _WRITTEN):
        raise UsageError(f"{path}: is of no format that fields are written in; need {', '.join(_WRITTEN)}.")
    field = as_field(transform, spaces, path)
    with naming(path):
        require_usable_grid(field.grid)
    with atomic_file(path) as temporary:
        save_vectors(field, temporary, name=path)
    return (path,)


def save_vectors(field: Displacement, path: Path, *, name: Path) -> None:
    """Save a field to a path whose ending says the format; `name` is what an error calls it."""
    vectors = field.data.detach().cpu().float().movedim(0, -1).contiguous().numpy().astype(np.float32)
    image = sitk.GetImageFromArray(vectors, isVector=True)
    place_on_grid(image, field.grid)
    with quiet_itk():
        save_image(image, path, name=name)


def read_vector_image(path: Path, _: Spaces) -> Transform:
    """The field; see `read_transform`."""
    return read_transform(path)


def _recognise(path: Path) -> Recognised | None:
    header = vector_header(path)
    if header is not None and header.is_field:
        why = f"5-D with intent {header.intent}, as ITK, ANTs and greedy write; the direction is by their convention"
        return Recognised(format="field", sureness="said" if header.intent == INTENT_VECTOR else "shaped", why=why)
    if has_suffix(path, (*METAIMAGE_SUFFIXES, *NRRD_SUFFIXES)):
        image = read_header(path)
        if (len(image.sizes), image.components) == _VECTORS:
            return Recognised(format="field", sureness="said", why="an image of vectors, which ITK reads as LPS mm")
    return None


FIELD = TransformFormat(
    name="field",
    holds="images of displacement vectors (in NIfTI 5-D with intent 1007)",
    frame="LPS",
    units="mm",
    suffixes=VOXEL_SUFFIXES,
    written=_WRITTEN,
    recognise=_recognise,
    read=read_vector_image,
    write=write_vector_image,
)
