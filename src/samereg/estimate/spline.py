"""Cubic B-spline displacements: sampling, its transpose, and the smoothness penalty."""

from dataclasses import dataclass
from math import ceil, prod

import numpy as np
import torch
from jaxtyping import Float64
from scipy import sparse
from torch import Tensor

from samereg.geometry.grid import Grid, axis_aligned_grid

SUPPORT = 4
"""Control points that a cubic B-spline blends along an axis."""

SPARSEST_NODES = 8
"""Maximum ratio of grid nodes to points for which points are treated as a rectilinear grid."""

AlongAxes = tuple[Float64[Tensor, "_ _"], Float64[Tensor, "_ _"], Float64[Tensor, "_ _"]]
"""One matrix per axis of an array, equivalent to their Kronecker product at a fraction of its cost."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplineLattice:
    """Control points of uniform cubic B-splines, ``u(x) = sum_k c_k B((x - x_k) / h)``.

    Attributes:
        grid: positions of the control points; axis-aligned, isotropic.
    """

    grid: Grid

    @property
    def spacing_mm(self) -> float:
        """Distance ``h`` between control points."""
        return self.grid.spacing_mm[0]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampling:
    """Linear operator from control values to values at points, in two steps: ``pick (along_d x along_h x along_w)``.

    Attributes:
        along: maps control values to values at the nodes of a rectilinear grid.
        pick: maps those to the points, (n, number of nodes).
        spread: its transpose.
    """

    along: AlongAxes
    pick: sparse.csr_array
    spread: sparse.csr_array


def lattice_around(grid: Grid, spacing_mm: float) -> SplineLattice:
    """Lattice whose splines are complete at every voxel centre of an axis-aligned grid."""
    depth, height, width = (
        ceil((n - 1) * s / spacing_mm) + 3 for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    )
    x, y, z = (grid.origin_mm - spacing_mm).tolist()
    return SplineLattice(grid=axis_aligned_grid((depth, height, width), (spacing_mm,) * 3, (x, y, z)))


def sampling(lattice: SplineLattice, points_mm: Float64[Tensor, "n 3"]) -> Sampling:
    """Sampling operator of splines at points; about ten times faster for points on a rectilinear grid.

    Points of a rectilinear grid, even with many missing, are nodes themselves; for arbitrary
    points the nodes are the control points.
    """
    index = lattice.grid.to_index(points_mm)
    nodes = [torch.unique(index[:, axis], return_inverse=True) for axis in range(len(lattice.grid.shape))]
    shape = tuple(len(positions) for positions, _ in nodes)
    if prod(shape) > SPARSEST_NODES * len(points_mm):
        depth, height, width = (torch.eye(n, dtype=torch.float64) for n in lattice.grid.shape)
        pick = sampling_matrix(lattice, points_mm)
        return Sampling(along=(depth, height, width), pick=pick, spread=pick.T.tocsr())
    depth, height, width = (
        _spline_matrix(positions, size) for (positions, _), size in zip(nodes, lattice.grid.shape, strict=True)
    )
    columns = np.ravel_multi_index([place.numpy() for _, place in nodes], shape)
    rows = np.arange(len(columns) + 1)
    pick = sparse.csr_array((np.ones(len(columns)), columns, rows), shape=(len(columns), prod(shape)))
    return Sampling(along=(depth, height, width), pick=pick, spread=pick.T.tocsr())


def sampling_matrix(lattice: SplineLattice, points_mm: Float64[Tensor, "n 3"]) -> sparse.csr_array:
    """Matrix (n, number of control points) from control values to values at points."""
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
    along_d, along_h, along_w = (
        _spline_matrix(
            start[axis] + grid.spacing_mm[axis] / lattice.spacing_mm * torch.arange(n, dtype=torch.float64),
            lattice.grid.shape[axis],
        )
        for axis, n in enumerate(grid.shape)
    )
    return apply_along(control.movedim(-1, 0), (along_d, along_h, along_w))


def apply_along(values: Float64[Tensor, "c d h w"], along: AlongAxes) -> Float64[Tensor, "c d2 h2 w2"]:
    """Applies one matrix to each axis of an array."""
    along_d, along_h, along_w = along
    in_plane = along_h @ (values @ along_w.T)
    whole: Tensor = (along_d @ in_plane.flatten(2)).unflatten(2, in_plane.shape[2:])
    return whole


def cosines(lattice: SplineLattice) -> AlongAxes:
    """Orthonormal DCT-II basis, as the columns of one matrix per axis.

    The matrices map amplitudes to control values, and their transposes control values to amplitudes.
    """
    along_d, along_h, along_w = (_cosine_matrix(n) for n in lattice.grid.shape)
    return along_d, along_h, along_w


def squared_frequencies(lattice: SplineLattice) -> Float64[Tensor, "d h w"]:
    """Eigenvalues, per mm^2, of the negative Laplacian of control values with replicated border.

    Its eigenvectors are those of `cosines`.
    """
    along_d, along_h, along_w = (
        (2.0 - 2.0 * torch.cos(torch.pi * torch.arange(n, dtype=torch.float64) / n)) / lattice.spacing_mm**2
        for n in lattice.grid.shape
    )
    return along_d[:, None, None] + along_h[:, None] + along_w


def _cosine_matrix(size: int) -> Float64[Tensor, "n n"]:
    index = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(torch.pi / size * (index[:, None] + 0.5) * index)
    normalised: Tensor = matrix / matrix.norm(dim=0)
    return normalised


def _spline_matrix(positions: Float64[Tensor, " n"], size: int) -> Float64[Tensor, "n m"]:
    """Matrix from the control values along one axis to values at positions."""
    first, weights = _spline_weights(positions, size)
    matrix = torch.zeros(len(positions), size, dtype=torch.float64)
    return matrix.scatter_(1, first[:, None] + torch.arange(SUPPORT), weights)


def _spline_weights(positions: Float64[Tensor, " n"], size: int) -> tuple[Tensor, Float64[Tensor, "n 4"]]:
    """First control point in the support of each position, and the weights of the four; clamped to the lattice."""
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
