"""Displacement fields as vector images: 5-D NIfTI with intent 1007, MetaImage, NRRD; LPS mm, fixed to moving.

Used by ITK, ANTs, greedy (warps) and Slicer.
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
"""Numbers of axes and of values per voxel."""


def write_vector_image(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes a transform as displacements on the fixed grid, or on the grid of its first field.

    Raises:
        UsageError: no grid for the field, or an unsupported suffix.
        FileError: the file cannot be written.
    """
    if not has_suffix(path, _WRITTEN):
        raise UsageError(f"{path}: has no suffix of a field format; need {', '.join(_WRITTEN)}.")
    field = as_field(transform, spaces, path)
    with naming(path):
        require_usable_grid(field.grid)
    with atomic_file(path) as temporary:
        save_vectors(field, temporary, name=path)
    return (path,)


def save_vectors(field: Displacement, path: Path, *, name: Path) -> None:
    """Saves a field in the format of the suffix; `name` is the output's name in errors."""
    vectors = field.data.detach().cpu().float().movedim(0, -1).contiguous().numpy().astype(np.float32)
    image = sitk.GetImageFromArray(vectors, isVector=True)
    place_on_grid(image, field.grid)
    with quiet_itk():
        save_image(image, path, name=name)


def read_vector_image(path: Path, _: Spaces) -> Transform:
    """Reads a field; see `read_transform`."""
    return read_transform(path)


def _recognise(path: Path) -> Recognised | None:
    header = vector_header(path)
    if header is not None and header.is_field:
        why = f"5-D with intent {header.intent}, as written by ITK, ANTs and greedy; direction by their convention"
        return Recognised(
            format="field", certainty="declared" if header.intent == INTENT_VECTOR else "compatible", why=why
        )
    if has_suffix(path, (*METAIMAGE_SUFFIXES, *NRRD_SUFFIXES)):
        image = read_header(path)
        if (len(image.sizes), image.components) == _VECTORS:
            return Recognised(format="field", certainty="declared", why="a vector image, which ITK reads as LPS mm")
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
