"""Sampling of points to match: a regular grid in the body of the fixed scan (SAME, section 2.2)."""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.geometry.grid import Grid, strided, voxel_centres_mm

STRIDE_VOX = 8
"""The paper's spacing, 16 mm in model space."""

CELL_VOX = 2
"""Stride of local features."""


def grid_points(
    grid: Grid, *, body: Bool[Tensor, "d h w"] | None = None, stride_vox: int = STRIDE_VOX
) -> Float64[Tensor, "n 3"]:
    """Positions of every `stride_vox`-th voxel of the body, centred in the scan; world frame (LPS+), mm.

    Always even voxels, where local features are defined; interpolated features are less distinctive.

    Args:
        grid: model-space grid.
        body: body mask; None uses the whole grid.
        stride_vox: spacing of the points; a smaller value gives more points and is slower.
    """
    start = grid_offset_vox(grid, stride_vox)
    points_mm = voxel_centres_mm(strided(grid, stride_vox))
    points_mm = points_mm + grid.affine[:3, :3] @ torch.tensor(start, dtype=torch.float64)
    if body is None:
        return points_mm.reshape(-1, 3)
    size = points_mm.shape[:3]
    kept = body[start[0] :: stride_vox, start[1] :: stride_vox, start[2] :: stride_vox].cpu()
    return points_mm[: kept.shape[0], : kept.shape[1], : kept.shape[2]][kept[: size[0], : size[1], : size[2]]]


def grid_offset_vox(grid: Grid, stride_vox: int) -> tuple[int, int, int]:
    """First voxel (d, h, w) of `grid_points`."""
    d, h, w = (((n - 1) % stride_vox) // 2 // CELL_VOX * CELL_VOX for n in grid.shape)
    return d, h, w


def lattice_of(grid: Grid, stride_vox: int) -> Grid:
    """Grid of the places that `grid_points` takes."""
    coarse = strided(grid, stride_vox)
    affine = coarse.affine.clone()
    affine[:3, 3] = grid.to_world(torch.tensor(grid_offset_vox(grid, stride_vox), dtype=torch.float64))
    return Grid(shape=coarse.shape, affine=affine)


def mask_at(mask: Bool[Tensor, "d h w"], grid: Grid, points_mm: Float64[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Whether world points lie in a mask; False outside its grid."""
    index = grid.to_index(points_mm).round().long()
    size = torch.tensor(grid.shape)
    inside = ((index >= 0) & (index < size)).all(-1)
    near = torch.minimum(index.clamp(min=0), size - 1)
    return inside & mask.cpu()[near[:, 0], near[:, 1], near[:, 2]]
