"""greedy and c3d: matrices in RAS mm, but warps as ITK fields in LPS mm; both fixed to moving."""

from pathlib import Path

from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised, has_suffix
from samereg.io.nifti import NIFTI_SUFFIXES
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.ras_matrix import read_ras_matrix, recognise_matrix, write_ras_matrix
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

_FIELDS = (*NIFTI_SUFFIXES, ".mha", ".nrrd")


def read_greedy(path: Path, spaces: Spaces) -> Transform:
    """Reads a matrix or a warp."""
    return read_transform(path) if has_suffix(path, _FIELDS) else read_ras_matrix(path, spaces)


def write_greedy(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes a matrix (`.mat`, `.txt`) or a warp (`.nii.gz`), according to the suffix.

    Raises:
        TransformError: a matrix file for a transform that is not affine.
    """
    is_field = has_suffix(path, _FIELDS)
    return (write_vector_image if is_field else write_ras_matrix)(transform, path, spaces)


def _recognise(path: Path) -> Recognised | None:
    """Recognises matrices only; warps are ITK fields."""
    return recognise_matrix(path, format="greedy")


GREEDY = TransformFormat(
    name="greedy",
    holds="matrices and warps",
    frame="RAS for matrices, LPS for warps",
    units="mm",
    suffixes=(".mat", ".txt", *_FIELDS),
    affine_suffix=".mat",
    recognise=_recognise,
    read=read_greedy,
    write=write_greedy,
)
