"""Local change of volume of any transform at any points: each part by its own slopes, never across its border."""

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
"""Slopes of a field are taken over one of its own voxels: at a node the mean of the slopes on both sides."""

HALF_STEP_MM = 0.05
"""Of maps without a lattice of vectors, which are smooth."""


def volume_change_at(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    """Determinant of the Jacobian at points: the product of those of the parts, each where it is passed.

    A field is the identity beyond its grid; the jump where it ends is no slope and does not count.

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
    """Of a trilinear field; in the half voxel beyond its outermost centres as at these."""
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
        # An axis of one voxel has no slope.
        length = (high - low)[:, axis].clamp(min=torch.finfo(torch.float64).tiny)
        columns.append((_sampled(data, high) - _sampled(data, low)) / length[:, None])
    change[inside] = _determinant(torch.stack(columns, dim=-1), field.grid)
    return change


def _determinant(slopes: Float64[Tensor, "n 3 3"], grid: Grid) -> Float64[Tensor, " n"]:
    """Of the map whose displacement in mm changes by these columns per voxel of a grid."""
    identity = torch.eye(3, dtype=torch.float64)
    determinant: Tensor = torch.linalg.det(identity + slopes @ torch.linalg.inv(grid.affine[:3, :3]))
    return determinant


def _sampled(data: Float[Tensor, "3 d h w"], index: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
    return sample_grid(data[None], index[None], clamp=True)[0].T.double()


def _of_smooth(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, " n"]:
    """By differences between places near each other on the side of each point where the map still holds."""
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
