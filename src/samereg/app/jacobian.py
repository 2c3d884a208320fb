"""Writes the local change of volume of a transform as an image."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.app.spaces import read_spaces
from samereg.errors import QualityError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.geometry.volume_change import volume_change_at
from samereg.io.format_names import TransformFormatName
from samereg.io.images import write_volume
from samereg.io.transform_files import read_transform_file

SMALLEST_LOGGED = 1e-3
"""Determinants at or below zero have no logarithm; they are written as that of this."""

SLAB_VOXELS = 1 << 19
"""Points looked at together, for the memory."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class JacobianSettings:
    """How the change of volume is written.

    Attributes:
        logarithm: the natural logarithm, 0 where volume is kept.
        transform_format: of the transform; None tells it from the file.
        moving: image of the moving space, for formats between two images.
    """

    logarithm: bool = False
    transform_format: TransformFormatName | None = None
    moving: Path | None = None


def write_jacobian(
    transform_path: Path, reference_path: Path, output: Path, *, settings: JacobianSettings, overwrite: bool = False
) -> JacobianRecord:
    """Write the determinant of the transform's Jacobian at every voxel of a reference image, as float32.

    Above 1 the moving anatomy is larger than the fixed one at that place, below 1 smaller.

    Args:
        transform_path: any transform file that can be read.
        reference_path: image on the wanted grid, in the fixed space.
        output: image to write.
        settings: everything else.
        overwrite: replace `output` if it exists.

    Raises:
        UsageError: `output` exists or is an input, or an image that is needed is not given.
        InputError: a file that cannot be used.
    """
    refuse_input(output, (transform_path, reference_path, settings.moving))
    with claimed_outputs(output, overwrite=overwrite):
        spaces = read_spaces(reference_path, settings.moving)
        grid = spaces.need_fixed(str(transform_path))
        transform = read_transform_file(transform_path, format=settings.transform_format, spaces=spaces)
        change = volume_change(transform, grid)
        data = change.clamp(min=SMALLEST_LOGGED).log() if settings.logarithm else change
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
    """Determinant of the Jacobian at every voxel; see `volume_change_at`."""
    if isinstance(transform, Affine):
        return torch.full(grid.shape, float(torch.linalg.det(transform.linear)))
    change = torch.empty(grid.shape)
    rows = max(1, SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows):
        stop = min(start + rows, grid.shape[0])
        points_mm = slab_centres_mm(grid, start, stop)
        change[start:stop] = volume_change_at(transform, points_mm.flatten(0, 2)).view(points_mm.shape[:3])
    return change
