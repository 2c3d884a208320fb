"""Conversion between displacements in world mm and the index-unit fields of `ops`; sampling of transforms."""

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.transform import Transform
from samereg.ops.fields import jacobian_determinant

_SLAB_VOXELS = 1 << 20
"""Points sampled at a time: 24 MB of positions."""


def to_index_field(displacement: Displacement) -> Float[Tensor, "1 3 d h w"]:
    """The displacement in voxels of its own grid, components along (d, h, w): ``A^-1 u``."""
    to_index = torch.linalg.inv(displacement.grid.affine[:3, :3]).to(displacement.data)
    return torch.einsum("ij,jdhw->idhw", to_index, displacement.data)[None]


def from_index_field(field_vox: Float[Tensor, "1 3 d h w"], grid: Grid) -> Displacement:
    """The displacement in world mm, components (x, y, z), of an index-unit field on a grid: ``A u``."""
    to_world = grid.affine[:3, :3].to(field_vox)
    return Displacement(grid=grid, data=torch.einsum("ij,jdhw->idhw", to_world, field_vox[0]))


def from_transform(transform: Transform, grid: Grid, *, dtype: torch.dtype = torch.float32) -> Displacement:
    """Any transform as a displacement field: ``u(x) = T(x) - x`` at every voxel of a grid.

    Works slab by slab, so that the memory needed besides the result is bounded. Between voxels the field is
    trilinear, and outside the grid the identity.
    """
    data = torch.empty(3, *grid.shape, dtype=dtype)
    rows = max(1, _SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows):
        stop = min(start + rows, grid.shape[0])
        points_mm = slab_centres_mm(grid, start, stop)
        data[:, start:stop] = (transform.apply(points_mm) - points_mm).movedim(-1, 0).to(dtype)
    return Displacement(grid=grid, data=data)


def resample_displacement(displacement: Displacement, grid: Grid) -> Displacement:
    """The displacement resampled onto another grid, trilinear; zero outside the old grid."""
    return from_transform(displacement, grid, dtype=displacement.data.dtype)


def jacobian_determinant_mm(displacement: Displacement) -> Float[Tensor, "d h w"]:
    """Jacobian determinant ``det(I + du/dx)`` at every voxel; not positive where the map folds.

    The determinant is the same in mm and in voxels, because it does not depend on the basis.
    """
    return jacobian_determinant(to_index_field(displacement))[0]
