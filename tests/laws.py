"""Grids of every kind that clinical files have, and laws that any transform keeps."""

import math

import pytest
import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.transform import Transform

SHAPE = (20, 24, 28)
ORIGIN_MM = (-61.5, 113.25, -402.0)


def grid_from_directions(
    directions: Float64[Tensor, "3 3"],
    *,
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    shape: tuple[int, int, int] = SHAPE,
    origin_mm: tuple[float, float, float] = ORIGIN_MM,
) -> Grid:
    """Grid whose axes (d, h, w) run along the columns of a matrix."""
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = directions * torch.tensor(spacing_mm, dtype=torch.float64)
    affine[:3, 3] = torch.tensor(origin_mm, dtype=torch.float64)
    return Grid(shape=shape, affine=affine)


def signed_axes(x: float, y: float, z: float) -> Float64[Tensor, "3 3"]:
    """Directions with w along +-x, h along +-y, d along +-z."""
    return torch.tensor([[0.0, 0.0, x], [0.0, y, 0.0], [z, 0.0, 0.0]], dtype=torch.float64)


def rotation(axis: tuple[float, float, float], degrees: float) -> Float64[Tensor, "3 3"]:
    """Right-handed rotation about an axis."""
    x, y, z = (torch.tensor(axis, dtype=torch.float64) / math.hypot(*axis)).tolist()
    skew = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(skew * math.radians(degrees))


GRIDS = {
    "LPS": grid_from_directions(signed_axes(1.0, 1.0, 1.0)),
    "RAS": grid_from_directions(signed_axes(-1.0, -1.0, 1.0)),
    "LAS": grid_from_directions(signed_axes(1.0, -1.0, 1.0)),
    "oblique": grid_from_directions(rotation((1.0, 2.0, -0.5), 25.0) @ signed_axes(1.0, 1.0, 1.0)),
    "anisotropic": grid_from_directions(signed_axes(1.0, 1.0, 1.0), spacing_mm=(7.0, 3.0, 3.5), shape=(14, 31, 27)),
    "left-handed": grid_from_directions(
        rotation((0.3, -1.0, 0.2), 40.0) @ signed_axes(1.0, 1.0, -1.0), spacing_mm=(5.0, 3.0, 4.0)
    ),
}
"""One grid of each orientation; RAS, LAS and LPS name where the axes (w, h, d) point."""

every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def points_inside(grid: Grid, count: int = 500, *, seed: int = 0, margin_vox: float = 0.0) -> Tensor:
    """Random world points between the outermost voxel centres, kept off them by a margin."""
    return points_around(grid, count, seed=seed, margin_vox=-margin_vox)


def points_around(grid: Grid, count: int = 500, *, seed: int = 0, margin_vox: float = 5.0) -> Tensor:
    """Random world points in the box of voxel centres widened by a margin on every side."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    last = torch.tensor(grid.shape, dtype=torch.float64) - 1.0
    return grid.to_world(unit * (last + 2.0 * margin_vox) - margin_vox)


def smooth_displacement(grid: Grid, *, amplitude_mm: float = 8.0, fades: bool = False) -> Displacement:
    """Smooth invertible field of 200 mm waves, different along each world axis.

    With `fades` it is zero at the border, so that the map is smooth everywhere.
    """
    points = voxel_centres_mm(grid) - grid.centre_mm
    phase = 2.0 * math.pi * points / 200.0
    x, y, z = phase.unbind(-1)
    waves = torch.stack([torch.sin(y + 0.3) * torch.cos(z), 0.7 * torch.cos(x + z), torch.sin(x - 0.5 * y)], 0)
    data = amplitude_mm * waves
    if fades:
        for axis, count in enumerate(grid.shape):
            window = torch.sin(torch.linspace(0.0, math.pi, count, dtype=torch.float64)) ** 2
            data = data * window.reshape([-1 if axis == k else 1 for k in range(3)])
    return Displacement(grid=grid, data=data.float())


def assert_inverse_undoes(
    transform: Transform, inverse: Transform, points_mm: Float64[Tensor, "n 3"], *, tolerance_mm: float
) -> None:
    """There and back, and back and there, every point comes home."""
    there = transform.apply(points_mm)
    assert float((inverse.apply(there) - points_mm).norm(dim=-1).max()) < tolerance_mm
    assert float((transform.apply(inverse.apply(there)) - there).norm(dim=-1).max()) < tolerance_mm


def jumps_mm(positions_mm: Float64[Tensor, "d h w 3"]) -> Float64[Tensor, " n"]:
    """By how much each step between mapped neighbours is longer than the longer of the steps before and after it.

    A slope and a bend give nothing, however steep; a jump gives its height.
    """
    found = []
    for axis in range(3):
        step_mm = positions_mm.movedim(axis, 0).diff(dim=0).norm(dim=-1)
        found.append((step_mm[1:-1] - torch.maximum(step_mm[:-2], step_mm[2:])).flatten())
    return torch.cat(found)
