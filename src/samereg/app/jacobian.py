"""Writes the local change of volume of a transform as an image."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.app.overwriting import claimed_outputs
from samereg.errors import QualityError
from samereg.geometry.affine import Affine
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.format_names import TransformFormatName
from samereg.io.images import read_grid, write_volume
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces

SMALLEST_LOGGED = 1e-3
"""Determinants at or below zero have no logarithm; they are written as that of this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JacobianRecord:
    """What was written.

    Attributes:
        output: file that was written.
        smallest: determinant, 1 where volume is kept.
        mean: of all voxels.
        largest: of all voxels.
        folded_fraction: part of the voxels where the map turns inside out.
        exit_status: 0, or that of `QualityError` if anything folds.
    """

    output: Path
    smallest: float
    mean: float
    largest: float
    folded_fraction: float
    exit_status: int


def write_jacobian(
    transform_path: Path,
    reference_path: Path,
    output: Path,
    *,
    logarithm: bool,
    transform_format: TransformFormatName | None = None,
    overwrite: bool = False,
) -> JacobianRecord:
    """Write the determinant of the transform's Jacobian at every voxel of a reference image, as float32.

    Above 1 the moving anatomy is larger than the fixed one at that place, below 1 smaller.

    Args:
        transform_path: any transform file that can be read.
        reference_path: image on the wanted grid, in the fixed space.
        output: image to write.
        logarithm: write the natural logarithm, 0 where volume is kept.
        transform_format: of the transform; None tells it from the file.
        overwrite: replace `output` if it exists.

    Raises:
        UsageError: `output` exists.
        InputError: a file that cannot be used.
    """
    with claimed_outputs(output, overwrite=overwrite):
        grid = read_grid(reference_path)
        transform = read_transform_file(transform_path, format=transform_format, spaces=Spaces(fixed=grid, moving=grid))
        change = volume_change(transform, grid)
        data = change.clamp(min=SMALLEST_LOGGED).log() if logarithm else change
        write_volume(Volume(data=data[None], grid=grid, background=0.0, stored_dtype="float32"), output)
    folded = float((change <= 0.0).double().mean())
    return JacobianRecord(
        output=output,
        smallest=float(change.min()),
        mean=float(change.double().mean()),
        largest=float(change.max()),
        folded_fraction=folded,
        exit_status=QualityError.exit_code if folded else 0,
    )


def volume_change(transform: Transform, grid: Grid) -> Float[Tensor, "d h w"]:
    """Determinant of the Jacobian at every voxel; exact for affine maps, by differences between voxels otherwise."""
    if isinstance(transform, Affine):
        return torch.full(grid.shape, float(torch.linalg.det(transform.linear)))
    return jacobian_determinant_mm(from_transform(transform, grid))
