"""FSL FLIRT matrices: moving to fixed, in mm along the voxel axes, x reversed for right-handed grids.

FNIRT warps are not supported, because files do not reliably declare their kind (relative or absolute).
"""

from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised
from samereg.io.nifti import NIFTI_SUFFIXES, is_nifti
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.nifti_vectors import vector_header
from samereg.io.transform_formats.ras_matrix import read_matrix, recognise_matrix, write_matrix
from samereg.io.transform_formats.spaces import Spaces, as_affine

_FNIRT_INTENTS = (2006, 2007, 2008, 2009)
_LAST_ROW = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)


def read_fsl(path: Path, spaces: Spaces) -> Transform:
    """Reads and inverts a FLIRT matrix: fixed world to moving world.

    Raises:
        UsageError: an image is not given.
        TransformError: a warp.
    """
    if is_nifti(path):
        raise TransformError(f"{path}: is an FSL warp, which is not supported; need a FLIRT matrix.")
    fixed, moving = _both(spaces, path)
    back = Affine(matrix=read_matrix(path)).inverse().matrix
    matrix = torch.linalg.inv(_to_fsl(moving)) @ back @ _to_fsl(fixed)
    matrix[3] = _LAST_ROW
    return Affine(matrix=matrix)


def write_fsl(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes an affine transform as a matrix for `flirt -applyxfm -init`.

    Raises:
        UsageError: an image is not given.
        TransformError: the transform is not affine.
    """
    if is_nifti(path):
        raise TransformError(f"{path}: FSL warps are not supported; need an affine transform and a name in .mat.")
    fixed, moving = _both(spaces, path)
    inverse = as_affine(transform, str(path)).inverse().matrix
    matrix = _to_fsl(fixed) @ inverse @ torch.linalg.inv(_to_fsl(moving))
    matrix[3] = _LAST_ROW
    write_matrix(matrix, path)
    return (path,)


def _to_fsl(grid: Grid) -> Float64[Tensor, "4 4"]:
    """World LPS+ to FSL's millimetres along (i, j, k)."""
    to_index = torch.linalg.inv(grid.affine)[[2, 1, 0, 3]]
    scale = torch.diag(torch.tensor([*grid.spacing_mm[::-1], 1.0], dtype=torch.float64))
    # LPS to RAS preserves handedness; reversing (d, h, w) to (i, j, k) changes it.
    if float(torch.linalg.det(grid.affine[:3, :3].flip(1))) > 0.0:
        scale[0, 0] *= -1.0
        scale[0, 3] = (grid.shape[2] - 1.0) * grid.spacing_mm[2]
    to_fsl: Tensor = scale @ to_index
    return to_fsl


def _both(spaces: Spaces, path: Path) -> tuple[Grid, Grid]:
    purpose = f"{path}: a FLIRT matrix, which depends on both images,"
    return spaces.need_fixed(purpose), spaces.need_moving(purpose)


def _recognise(path: Path) -> Recognised | None:
    header = vector_header(path)
    if header is None:
        return recognise_matrix(path, format="fsl")
    if header.intent in _FNIRT_INTENTS:
        return Recognised(format="fsl", certainty="declared", why="its intent is one of FNIRT's")
    if header.is_4d:
        return Recognised(format="fsl", certainty="compatible", why="is 4-D with three numbers per voxel")
    return None


FSL = TransformFormat(
    name="fsl",
    holds="matrices of FLIRT",
    frame="voxel axes, x reversed for right-handed images",
    units="mm",
    direction="moving to fixed (input to reference); inverted on reading",
    suffixes=(".mat", ".txt", *NIFTI_SUFFIXES),
    needs=("fixed", "moving"),
    recognise=_recognise,
    read=read_fsl,
    write=write_fsl,
)
