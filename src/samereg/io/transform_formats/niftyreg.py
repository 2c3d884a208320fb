"""NiftyReg: RAS mm. Fields hold absolute target positions of reference voxels; matrices map reference to floating."""

from pathlib import Path

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.errors import TransformError
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised
from samereg.io.nifti import NIFTI_SUFFIXES, is_nifti
from samereg.io.transform_formats.format import FIXED_TO_MOVING, TransformFormat
from samereg.io.transform_formats.nifti_vectors import INTENT_VECTOR, read_vectors, vector_header, write_vectors
from samereg.io.transform_formats.ras_matrix import read_ras_matrix, recognise_matrix, write_ras_matrix
from samereg.io.transform_formats.spaces import Spaces, as_field

INTENT_NAME = "NREG_TRANS"
_ABSOLUTE, _RELATIVE = 0, 1
_OTHERS = {
    2: "a grid of cubic B-splines",
    3: "a velocity field",
    4: "a velocity field",
    5: "a grid of velocity splines",
    6: "a grid of linear splines",
}
_RAS_SIGNS = (-1.0, -1.0, 1.0)


def read_niftyreg(path: Path, spaces: Spaces) -> Transform:
    """Reads a matrix (`.txt`), or a field of positions or displacements (NIfTI).

    Raises:
        TransformError: splines and velocities; `reg_transform -def` makes a field of them.
    """
    if not is_nifti(path):
        return read_ras_matrix(path, spaces)
    stored = read_vectors(path)
    kind = int(stored.parameter) if stored.intent_name == INTENT_NAME else _ABSOLUTE
    if kind not in (_ABSOLUTE, _RELATIVE):
        what = _OTHERS.get(kind, f"a transform of kind {kind}")
        raise TransformError(f"{path}: holds {what}; need a field: reg_transform -ref FIXED -def IN OUT makes one.")
    vectors = stored.data.double() * _signs()
    displacement = vectors - _centres(stored.grid) if kind == _ABSOLUTE else vectors
    return Displacement(grid=stored.grid, data=displacement.float())


def write_niftyreg(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes a matrix (`.txt`), or a field of target positions (NIfTI).

    Raises:
        TransformError: a matrix file for a transform that is not affine.
    """
    if not is_nifti(path):
        return write_ras_matrix(transform, path, spaces)
    field = as_field(transform, spaces, path)
    positions = (field.data.double() + _centres(field.grid)) * _signs()
    intent = (INTENT_VECTOR, INTENT_NAME, float(_ABSOLUTE))
    write_vectors(positions.float(), field.grid, path, five_dimensional=True, intent=intent)
    return (path,)


def _centres(grid: Grid) -> Float64[Tensor, "3 d h w"]:
    return voxel_centres_mm(grid).movedim(-1, 0)


def _signs() -> Float[Tensor, "3 1 1 1"]:
    return torch.tensor(_RAS_SIGNS, dtype=torch.float64)[:, None, None, None]


def _recognise(path: Path) -> Recognised | None:
    header = vector_header(path)
    if header is None:
        return recognise_matrix(path, format="niftyreg")
    if header.words != INTENT_NAME:
        return None
    return Recognised(format="niftyreg", certainty="declared", why=f"its header names {INTENT_NAME}")


NIFTYREG = TransformFormat(
    name="niftyreg",
    holds="matrices and fields",
    frame="RAS, positions instead of displacements in fields",
    units="mm",
    direction="reference to floating, which is " + FIXED_TO_MOVING,
    suffixes=(".txt", *NIFTI_SUFFIXES),
    affine_suffix=".txt",
    recognise=_recognise,
    read=read_niftyreg,
    write=write_niftyreg,
)
