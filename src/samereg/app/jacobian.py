"""Writes the Jacobian determinant of a transform as an image."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.app.spaces import read_spaces
from samereg.errors import QualityError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.geometry.volume_change import volume_change_at
from samereg.geometry.walk import Box, box_centres_mm, boxes
from samereg.io.format_names import TransformFormatName
from samereg.io.images import write_volume
from samereg.io.transform_files import read_transform_file
from samereg.ops.workers import for_each

MIN_LOGGED = 1e-3
"""Minimum determinant in logarithms; smaller ones are clamped to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JacobianRecord:
    """Record of the output.

    Attributes:
        output: output file.
        smallest: minimum determinant.
        mean: mean determinant.
        largest: maximum determinant.
        folded_fraction: fraction of voxels with non-positive determinant.
        exit_status: 0, or that of `QualityError` if anything folds.
    """

    output: Path
    smallest: float
    mean: float
    largest: float
    folded_fraction: float
    exit_status: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JacobianSettings:
    """Settings of the output.

    Attributes:
        logarithm: write the natural logarithm.
        transform_format: of the transform; None to detect it.
        moving: image of the moving space, for formats in voxels.
    """

    logarithm: bool = False
    transform_format: TransformFormatName | None = None
    moving: Path | None = None


def write_jacobian(
    transform_path: Path, reference_path: Path, output: Path, *, settings: JacobianSettings, overwrite: bool = False
) -> JacobianRecord:
    """Writes the Jacobian determinant of a transform at every voxel of a reference image, as float32.

    Above 1 the moving anatomy is locally larger than the fixed one, below 1 smaller.

    Args:
        transform_path: transform file of any supported format.
        reference_path: image in the fixed space that defines the output grid.
        output: output image.
        settings: all other settings.
        overwrite: replace an existing output.

    Raises:
        UsageError: `output` exists or is an input, or a required image is not given.
        InputError: an invalid file.
    """
    refuse_input(output, (transform_path, reference_path, settings.moving))
    with claimed_outputs(output, overwrite=overwrite):
        spaces = read_spaces(reference_path, settings.moving)
        grid = spaces.need_fixed(str(transform_path))
        transform = read_transform_file(transform_path, format=settings.transform_format, spaces=spaces)
        change = volume_change(transform, grid)
        data = change.clamp(min=MIN_LOGGED).log() if settings.logarithm else change
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
    """Jacobian determinant at every voxel; see `volume_change_at`."""
    if isinstance(transform, Affine):
        return torch.full(grid.shape, float(torch.linalg.det(transform.linear)))
    change = torch.empty(grid.shape)

    def fill(box: Box) -> None:
        points_mm = box_centres_mm(grid, box)
        change[box.slices] = volume_change_at(transform, points_mm.flatten(0, 2)).view(points_mm.shape[:3]).float()

    for_each(boxes(grid.shape), fill)
    return change
