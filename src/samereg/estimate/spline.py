"""Displacements on a lattice of cubic B-splines: sampling, its transpose, and their bending energy."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from jaxtyping import Float64
from scipy import sparse
from torch import Tensor

from samereg.geometry.grid import Grid, axis_aligned_grid

SUPPORT = 4
"""Control points that a cubic B-spline blends along an axis."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplineLattice:
    """Control points of uniform cubic B-splines, ``u(x) = sum_k c_k B((x - x_k) / h)``.

    Attributes:
        grid: where the control points stand; axis-aligned, isotropic.
    """

    grid: Grid

    @property
    def spacing_mm(self) -> float:
        """Distance ``h`` between control points."""
        return self.grid.spacing_mm[0]


def lattice_around(grid: Grid, spacing_mm: float) -> SplineLattice:
    """Lattice whose splines are complete at every voxel centre of an axis-aligned grid."""
    depth, height, width = (
        ceil((n - 1) * s / spacing_mm) + 3 for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    )
    x, y, z = (grid.origin_mm - spacing_mm).tolist()
    return SplineLattice(grid=axis_aligned_grid((depth, height, width), (spacing_mm,) * 3, (x, y, z)))


def sampling_matrix(lattice: SplineLattice, points_mm: Float64[Tensor, "n 3"]) -> sparse.csr_array:
    """Matrix (n, number of control points) that takes control values to the values at points."""
    index = lattice.grid.to_index(points_mm).numpy()
    n = len(index)
    columns = np.zeros((n, 1), dtype=np.int64)
    values = np.ones((n, 1))
    for axis, size in enumerate(lattice.grid.shape):
        first, weights = _spline_weights(torch.from_numpy(index[:, axis].copy()), size)
        along = first.numpy()[:, None] + np.arange(SUPPORT)
        columns = (columns[:, :, None] * size + along[:, None, :]).reshape(n, -1)
        values = (values[:, :, None] * weights.numpy()[:, None, :]).reshape(n, -1)
    rows = np.arange(n + 1) * columns.shape[1]
    return sparse.csr_array((values.ravel(), columns.ravel(), rows), shape=(n, lattice.grid.size))


def evaluate(lattice: SplineLattice, control: Float64[Tensor, "d h w c"], grid: Grid) -> Float64[Tensor, "c d2 h2 w2"]:
    """Values on an axis-aligned grid: one small matrix along each axis."""
    start = lattice.grid.to_index(grid.origin_mm)
    values = control.movedim(-1, 0)
    for axis in (2, 1, 0):
        step = grid.spacing_mm[axis] / lattice.spacing_mm
        positions = start[axis] + step * torch.arange(grid.shape[axis], dtype=torch.float64)
        first, weights = _spline_weights(positions, lattice.grid.shape[axis])
        matrix = torch.zeros(len(positions), lattice.grid.shape[axis], dtype=torch.float64)
        matrix.scatter_(1, first[:, None] + torch.arange(SUPPORT), weights)
        values = torch.tensordot(values, matrix, dims=([1 + axis], [1])).movedim(-1, 1 + axis)
    return values.contiguous()


def squared_frequencies(lattice: SplineLattice) -> Float64[Tensor, "d h w"]:
    """Eigenvalues, per mm^2, of minus the Laplacian of control values whose border repeats.

    Its eigenvectors are the cosines of the discrete cosine transform, type 2.
    """
    along_d, along_h, along_w = (
        (2.0 - 2.0 * torch.cos(torch.pi * torch.arange(n, dtype=torch.float64) / n)) / lattice.spacing_mm**2
        for n in lattice.grid.shape
    )
    return along_d[:, None, None] + along_h[:, None] + along_w


def _spline_weights(positions: Float64[Tensor, " n"], size: int) -> tuple[Tensor, Float64[Tensor, "n 4"]]:
    """First control point of each position's support, and the weights of the four; clamped to the lattice."""
    inside = positions.clamp(1.0, size - 2.0)
    cell = inside.floor().clamp(max=size - 3.0)
    t = inside - cell
    weights = torch.stack(
        [
            (1.0 - t) ** 3,
            3.0 * t**3 - 6.0 * t**2 + 4.0,
            -3.0 * t**3 + 3.0 * t**2 + 3.0 * t + 1.0,
            t**3,
        ],
        dim=1,
    )
    return cell.long() - 1, weights / 6.0
