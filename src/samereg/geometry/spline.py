"""Cubic B-spline deformations, with the semantics of the B-spline transforms of ITK and elastix."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.errors import GeometryError
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_transform
from samereg.geometry.grid import Grid
from samereg.ops.ambient import plain_torch

SUPPORT = 4
"""Number of control points in the support of a cubic B-spline, per axis."""

INVERSE_STEPS = 4
"""Samples per control point and axis for computing the inverse."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spline:
    """``y = x + sum_k c_k B((x - x_k) / h)``, fixed world to moving world, LPS+ mm; ``B`` is the cubic B-spline.

    The identity for points that lack some of their control points, as in ITK and elastix.

    Attributes:
        grid: positions of the control points, in the fixed world.
        data: coefficients ``c``, components (x, y, z) of the world, mm.

    Raises:
        GeometryError: data and grid of different shapes, or fewer than four control points along an axis.
    """

    grid: Grid
    data: Float64[Tensor, "3 d h w"]

    def __post_init__(self) -> None:
        """Check that the array fits its grid, and that the grid holds at least one complete spline."""
        shape = tuple(self.data.shape[1:])
        if shape != self.grid.shape:
            raise GeometryError(f"coefficients of shape {shape} do not fit a grid of shape {self.grid.shape}")
        if min(shape) < SUPPORT:
            raise GeometryError(f"a cubic B-spline needs {SUPPORT} control points along each axis, got {shape}")

    @plain_torch()
    def contains(self, points_mm: Float64[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether all control points of each point exist."""
        index = self.grid.to_index(points_mm)
        end = torch.tensor(self.grid.shape, dtype=torch.float64, device=index.device) - 2.0
        return ((index >= 1.0) & (index < end)).all(dim=-1)

    @plain_torch()
    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""
        inside = self.contains(points_mm)
        moved = points_mm.clone()
        moved[inside] += self._displacement(self.grid.to_index(points_mm[inside]))
        return moved

    @plain_torch()
    def inverse(self) -> Displacement:
        """Moving world to fixed world, from this map sampled at `INVERSE_STEPS` points per control point."""
        return from_transform(self, dense_grid(self.grid)).inverse()

    def _displacement(self, index: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
        first = index.floor().long() - 1
        weights = _cubic_weights(index - index.floor())
        rows = self.data.reshape(3, -1).T.to(index.device)
        _, height, width = self.grid.shape
        total = torch.zeros_like(index)
        for d, h, w in torch.cartesian_prod(*(torch.arange(SUPPORT),) * 3).tolist():
            place = ((first[:, 0] + d) * height + first[:, 1] + h) * width + first[:, 2] + w
            weight = weights[:, 0, d] * weights[:, 1, h] * weights[:, 2, w]
            total += weight[:, None] * rows[place]
        return total


def dense_grid(control: Grid) -> Grid:
    """Grid over the region where a cubic B-spline is complete, several times finer than its control points."""
    affine = control.affine.clone()
    affine[:3, :3] /= INVERSE_STEPS
    affine[:3, 3] = control.to_world(torch.ones(3, dtype=torch.float64))
    depth, height, width = ((n - 3) * INVERSE_STEPS for n in control.shape)
    return Grid(shape=(depth, height, width), affine=affine)


def _cubic_weights(fraction: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3 4"]:
    """Weights of the control points around a position, first to last."""
    t = fraction
    return (
        torch.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3],
            dim=-1,
        )
        / 6.0
    )
