"""Displacement fields as images of vectors: NIfTI 5-D of intent 1007, MetaImage, NRRD; LPS mm, fixed to moving.

What ITK, ANTs, greedy (its warps) and Slicer read and write.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from samereg.geometry.displacement import Displacement
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.itk import place_on_grid, quiet_itk
from samereg.io.itk_files import save_image
from samereg.io.stored import naming, require_usable_grid
from samereg.io.transform_formats.spaces import Spaces, as_field


def write_vector_image(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write a transform as displacements on the fixed grid, or on the grid of its first field.

    Raises:
        UsageError: no grid to write it on.
        FileError: the file cannot be written.
    """
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
