"""Domain of a transform: the region that its fields cover. Outside it a field is the identity by convention."""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity

WHOLE_WORLD_MM = 250.0
"""Half the side of the box from which points of an affine map, whose domain is unbounded, are sampled."""


def in_domain(transform: Transform, points_mm: Float64[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
    """Whether each point stays within the grids of all fields that it passes through.

    Args:
        transform: fixed world to moving world.
        points_mm: fixed-world positions.
    """
    inside = torch.ones(points_mm.shape[:-1], dtype=torch.bool, device=points_mm.device)
    position = points_mm
    for part in parts(transform):
        inside &= _in_part(part, position)
        position = part.apply(position)
    return inside


def deep_in_domain(transform: Transform, points_mm: Float64[Tensor, "*n 3"], *, margin_mm: float) -> Bool[Tensor, "*n"]:
    """Whether each point and the corners of a cube around it lie in the domain.

    A transform is discontinuous where a field ends; sampling on a grid spreads that jump over neighbouring voxels.

    Args:
        transform: fixed world to moving world.
        points_mm: fixed-world positions.
        margin_mm: half the side of the cube.
    """
    deep = in_domain(transform, points_mm)
    for corner in torch.cartesian_prod(*(torch.tensor([-1.0, 1.0], dtype=torch.float64),) * 3):
        deep &= in_domain(transform, points_mm + margin_mm * corner)
    return deep


def field_grid(transform: Transform) -> Grid | None:
    """Grid of the first field that points pass through; None for a map without fields."""
    grids = [grid for part in parts(transform) if (grid := _grid_of(part)) is not None]
    return grids[0] if grids else None


def domain_points(transform: Transform, count: int, *, seed: int = 0) -> Float64[Tensor, "n 3"]:
    """Random fixed-world points in the domain: at most `count`, fewer if the fields overlap only partly."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    before: list[Transform] = []
    for part in parts(transform):
        grid = _grid_of(part)
        if grid is not None:
            margin = 1.0 if isinstance(part, Spline) else 0.0
            last = torch.tensor(grid.shape, dtype=torch.float64) - 1.0
            points_mm = chain_all(before).inverse().apply(grid.to_world(margin + unit * (last - 2.0 * margin)))
            return points_mm[in_domain(transform, points_mm)]
        before.append(part)
    return (2.0 * unit - 1.0) * WHOLE_WORLD_MM


def _grid_of(part: Transform) -> Grid | None:
    return part.grid if isinstance(part, Displacement | Velocity | Spline) else None


def _in_part(part: Transform, points_mm: Float64[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
    if isinstance(part, Spline):
        return part.contains(points_mm)
    grid = _grid_of(part)
    if grid is None or isinstance(part, Affine):
        return torch.ones(points_mm.shape[:-1], dtype=torch.bool, device=points_mm.device)
    return grid.contains(points_mm)
