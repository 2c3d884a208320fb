"""Greedy and c3d: matrices in RAS mm, but warps as ITK writes fields, LPS mm; both fixed to moving."""

from pathlib import Path

from samereg.geometry.transform import Transform
from samereg.io.transform_formats.ras_matrix import read_ras_matrix, write_ras_matrix
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

_FIELDS = (".nii", ".nii.gz", ".mha", ".nrrd")


def read_greedy(path: Path, spaces: Spaces) -> Transform:
    """A matrix, or a warp."""
    return read_transform(path) if path.name.lower().endswith(_FIELDS) else read_ras_matrix(path, spaces)


def write_greedy(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write a matrix (`.mat`, `.txt`) or a warp (`.nii.gz`), as the name says.

    Raises:
        TransformError: a matrix is asked for, but the transform bends.
    """
    is_field = path.name.lower().endswith(_FIELDS)
    return (write_vector_image if is_field else write_ras_matrix)(transform, path, spaces)
