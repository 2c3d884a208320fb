"""Jacobian determinant of any transform at any points, part by part, without differencing across borders."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.ops.sample import sample_grid

HALF_STEP_VOX = 0.5
"""Step of the differences of a field, in its voxels: at a node, the mean of the slopes on both sides."""

HALF_STEP_MM = 0.05
"""Step of the differences of maps without a grid, which are smooth."""


def volume_change_at(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    """Jacobian determinant at points: the product of the determinants of the parts.

    A field is the identity outside its grid; the discontinuity at its border is not differentiated.

    Args:
        transform: fixed world to moving world.
        points_mm: fixed-world positions.
    """
    change = torch.ones(len(points_mm), dtype=torch.float64)
    position = points_mm
    for part in parts(transform):
        change = change * _of_part(part, position)
        position = part.apply(position)
    return change


def _of_part(part: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    if isinstance(part, Affine):
        return torch.full((len(points_mm),), float(torch.linalg.det(part.linear)), dtype=torch.float64)
    field = part.displacement if isinstance(part, Velocity) else part
    if isinstance(field, Displacement):
        return _of_field(field, points_mm)
    inside = part.contains(points_mm) if isinstance(part, Spline) else torch.ones(len(points_mm), dtype=torch.bool)
    change = torch.ones(len(points_mm), dtype=torch.float64)
    change[inside] = _of_smooth(part, points_mm[inside])
    return change


def _of_field(field: Displacement, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    """For a trilinear field; in the half voxel beyond its outermost centres, the value at these."""
    change = torch.ones(len(points_mm), dtype=torch.float64)
    inside = field.grid.contains(points_mm)
    index = field.grid.to_index(points_mm[inside])
    last = torch.tensor(field.grid.shape, dtype=torch.float64) - 1.0
    index = torch.minimum(index.clamp(min=0.0), last)
    data = field.data.cpu()
    columns = []
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = HALF_STEP_VOX
        low, high = (index - step).clamp(min=0.0), torch.minimum(index + step, last)
        # The derivative along an axis of one voxel is zero.
        length = (high - low)[:, axis].clamp(min=torch.finfo(torch.float64).tiny)
        columns.append((_sampled(data, high) - _sampled(data, low)) / length[:, None])
    change[inside] = _determinant(torch.stack(columns, dim=-1), field.grid)
    return change


def _determinant(slopes: Float64[Tensor, "n 3 3"], grid: Grid) -> Float64[Tensor, " n"]:
    """For the map whose displacement in mm has these derivatives per voxel of a grid."""
    identity = torch.eye(3, dtype=torch.float64)
    determinant: Tensor = torch.linalg.det(identity + slopes @ torch.linalg.inv(grid.affine[:3, :3]))
    return determinant


def _sampled(data: Float[Tensor, "3 d h w"], index: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
    return sample_grid(data[None], index[None], clamp=True)[0].T.double()


def _of_smooth(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    """By differences of neighbouring positions, on the side of each point on which the map is defined."""
    columns = []
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = HALF_STEP_MM
        ahead, behind = points_mm + step, points_mm - step
        if isinstance(transform, Spline):
            ahead = torch.where(transform.contains(ahead)[:, None], ahead, points_mm)
            behind = torch.where(transform.contains(behind)[:, None], behind, points_mm)
        length = (ahead - behind)[:, axis].clamp(min=HALF_STEP_MM)
        columns.append((transform.apply(ahead) - transform.apply(behind)) / length[:, None])
    determinant: Tensor = torch.linalg.det(torch.stack(columns, dim=-1))
    return determinant
