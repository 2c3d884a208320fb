"""Two roughly aligned scans on the lattice of the fixed scan, the input of the fine stages.

Cells are every second voxel of model space, where local embeddings are defined: cell `i` at voxel `2 i`.
"""

from dataclasses import dataclass
from math import exp

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.geometry.grid import Grid, padded, slab_centres_mm, strided
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.ops.fields import jacobian_determinant
from samereg.ops.sample import identity_grid, sample_grid, upsample_aligned

CELL_VOX = 2
"""Voxels of model space per cell."""

MAX_LOG_VOLUME = 2.0
"""Maximum log volume change, a factor of seven; larger values are defects of the start, not anatomy."""

SLAB_ROWS = 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AlignedScans:
    """Fixed scan and roughly aligned moving scan, in index units of the fixed model grid.

    Attributes:
        grid: model space of the fixed scan.
        fixed: its intensities.
        moved: those of the moving scan, resampled onto the same grid.
        fixed_features: reduced embeddings of the fixed scan at the cells.
        moved_features: those of the moving scan, resampled onto the same cells.
        seen: 1 at voxels covered by the moving scan.
        log_volume: log Jacobian determinant of the start at the cells, clamped to `MAX_LOG_VOLUME`.
    """

    grid: Grid
    fixed: Float[Tensor, "1 d h w"]
    moved: Float[Tensor, "1 d h w"]
    fixed_features: Float[Tensor, "k d2 h2 w2"]
    moved_features: Float[Tensor, "k d2 h2 w2"]
    seen: Float[Tensor, "1 d h w"]
    log_volume: Float[Tensor, "1 d2 h2 w2"]


def align_scans(
    fixed: Volume,
    moving: Volume,
    features: tuple[Float[Tensor, "k d2 h2 w2"], Float[Tensor, "k d3 h3 w3"]],
    start: Transform,
) -> AlignedScans:
    """Resamples the moving scan and its embeddings onto the fixed grid through a transform.

    The transform is evaluated at the cells and interpolated linearly between them. Embeddings are
    warped, not recomputed (SAME, section 2.2: ``S_m^c``).

    Args:
        fixed: model space.
        moving: model space.
        features: reduced embeddings of both, in one basis.
        start: fixed world to moving world.
    """
    device = features[0].device
    lattice = strided(fixed.grid, CELL_VOX)
    # One more cell, so that the voxels after the last cell are interpolated too.
    wider = landing_voxels(start, padded(lattice, (0, 0, 0), (1, 1, 1)), moving.grid).to(device)
    fine = upsample_aligned(wider[None], fixed.grid.shape)[0].permute(1, 2, 3, 0)
    depth, height, width = lattice.shape
    cells = wider[:, :depth, :height, :width]
    limit = torch.tensor(moving.grid.shape, device=device) - 1.0
    image = moving.data.to(device).float()
    return AlignedScans(
        grid=fixed.grid,
        fixed=fixed.data.to(device).float(),
        moved=sample_grid(image[None], fine[None], outside=moving.background)[0],
        fixed_features=features[0],
        moved_features=sample_grid(features[1][None], cells.permute(1, 2, 3, 0)[None] / CELL_VOX, clamp=True)[0],
        seen=((fine >= 0) & (fine <= limit)).all(-1)[None].float(),
        log_volume=_log_volume(cells),
    )


def _log_volume(landed: Float[Tensor, "3 d h w"]) -> Float[Tensor, "1 d h w"]:
    """Log Jacobian determinant of the map from cells to positions in voxels of a grid with the fixed spacing."""
    own = identity_grid((landed.shape[1], landed.shape[2], landed.shape[3]), device=landed.device)
    determinant = jacobian_determinant((landed / CELL_VOX - own.permute(3, 0, 1, 2))[None])
    return determinant.clamp(min=exp(-MAX_LOG_VOLUME), max=exp(MAX_LOG_VOLUME)).log()


def landing_voxels(transform: Transform, grid: Grid, moving: Grid) -> Float[Tensor, "3 d h w"]:
    """Transformed voxel centres of a grid, in voxels of the moving grid."""
    out = torch.empty(3, *grid.shape)
    for begin in range(0, grid.shape[0], SLAB_ROWS):
        end = min(begin + SLAB_ROWS, grid.shape[0])
        landed = moving.to_index(transform.apply(slab_centres_mm(grid, begin, end)))
        out[:, begin:end] = landed.movedim(-1, 0).float()
    return out
