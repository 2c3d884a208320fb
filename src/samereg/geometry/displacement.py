"""Dense displacement fields in world coordinates, with the semantics of ITK's DisplacementFieldTransform."""

import logging
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.errors import GeometryError
from samereg.geometry.grid import Grid, padded, strided, voxel_centres_mm
from samereg.ops.ambient import plain_torch
from samereg.ops.fields import invert_at
from samereg.ops.sample import sample_grid, upsample_aligned

_LOG = logging.getLogger(__name__)
_RIM_VOX = 0.5
"""In ITK a field is constant for half a voxel beyond its outermost centres, and the identity beyond that."""
_START_TOLERANCE = 10.0
"""Factor by which the tolerance of the coarse initial inversion is larger."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Displacement:
    """``y = x + u(x)``, fixed world to moving world, LPS+ mm; ``u`` is trilinear between voxel centres.

    Constant over the outer half voxel of its grid and the identity beyond, as in ITK.

    Attributes:
        grid: positions of the vectors, in the fixed world.
        data: ``u``, components (x, y, z) of the world, mm.

    Raises:
        GeometryError: data and grid of different shapes.
    """

    grid: Grid
    data: Float[Tensor, "3 d h w"]

    def __post_init__(self) -> None:
        """Check that the array fits its grid."""
        shape = tuple(self.data.shape[1:])
        if shape != self.grid.shape:
            raise GeometryError(f"a field of shape {shape} does not fit a grid of shape {self.grid.shape}")

    @plain_torch()
    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""
        index = self.grid.to_index(points_mm)
        end = torch.tensor(self.grid.shape, dtype=torch.float64, device=index.device) - 1.0 + _RIM_VOX
        inside = ((index >= -_RIM_VOX) & (index < end)).all(dim=-1, keepdim=True)
        sampled = sample_grid(self.data[None], index[None], clamp=True)[0]
        return torch.where(inside, points_mm + sampled.movedim(0, -1), points_mm)

    @plain_torch()
    def inverse(self) -> "Displacement":
        """Moving world to fixed world, on this grid extended to cover the image of its voxels."""
        return invert_displacement(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InverseSolution:
    """An inverse field and its accuracy.

    Attributes:
        displacement: the inverse field, moving world to fixed world.
        residual_mm: maximum of ``|v(y) + u(y + v(y))|`` over the voxels of the inverse.
        iterations: number of fixed-point iterations performed.
        converged: whether the residual is within the tolerance.
    """

    displacement: Displacement
    residual_mm: float
    iterations: int
    converged: bool


@plain_torch()
def invert_displacement(
    displacement: Displacement,
    *,
    grid: Grid | None = None,
    tolerance_mm: float = 0.01,
    iterations: int = 50,
) -> Displacement:
    """Inverse field, see `solve_inverse`; logs a warning if the tolerance is not met."""
    solution = solve_inverse(displacement, grid=grid, tolerance_mm=tolerance_mm, iterations=iterations)
    if not solution.converged:
        _LOG.warning(
            "the inverse field is off by up to %.2f mm after %d iterations; the field may fold",
            solution.residual_mm,
            solution.iterations,
        )
    return solution.displacement


@plain_torch()
def solve_inverse(
    displacement: Displacement,
    *,
    grid: Grid | None = None,
    tolerance_mm: float = 0.01,
    iterations: int = 50,
) -> InverseSolution:
    """Field ``v`` with ``v(y) = -u(y + v(y))``, so that ``x = y + v(y)`` inverts ``y = x + u(x)``.

    Fixed-point iteration (Chen et al., "A simple fixed-point approach to invert a deformation field", 2008),
    damped at each point that does not contract. Outside its grid ``u`` takes its border values, so
    that the inverse is smooth there. Accurate only at the voxels of the result: between them it is trilinear.

    Args:
        displacement: ``u``, fixed world to moving world.
        grid: grid of the inverse, in the moving world; by default `image_grid`.
        tolerance_mm: maximum residual of a solved voxel.
        iterations: maximum number of iterations.
    """
    target = image_grid(displacement) if grid is None else grid
    source = displacement.grid
    to_world = source.affine[:3, :3].to(displacement.data)
    field_vox = torch.einsum("ij,jdhw->idhw", torch.linalg.inv(to_world), displacement.data)
    tolerance_vox = tolerance_mm / max(source.spacing_mm) / 3.0**0.5
    # Every second voxel first: an eighth of the work gives a start that halves the iterations of the rest.
    coarse = invert_at(
        field_vox,
        _index_points(strided(target, 2), source, field_vox),
        iterations=iterations,
        tolerance_vox=_START_TOLERANCE * tolerance_vox,
    )
    start = upsample_aligned(coarse.field.reshape(1, 3, *strided(target, 2).shape), target.shape)
    solution = invert_at(
        field_vox,
        _index_points(target, source, field_vox),
        start=start.reshape(3, -1).T.contiguous(),
        iterations=iterations,
        tolerance_vox=tolerance_vox,
    )
    data = (to_world @ solution.field).reshape(3, *target.shape)
    residual_mm = float((to_world @ solution.residual_vox).square().sum(dim=0).max()) ** 0.5
    return InverseSolution(
        displacement=Displacement(grid=target, data=data),
        residual_mm=residual_mm,
        iterations=solution.iterations,
        converged=residual_mm <= tolerance_mm,
    )


def image_grid(displacement: Displacement, *, margin_vox: int = 1) -> Grid:
    """The field's grid, extended to cover the positions to which the field maps its voxels.

    Args:
        displacement: fixed world to moving world.
        margin_vox: additional voxels on every side.
    """
    to_index = torch.linalg.inv(displacement.grid.affine[:3, :3]).to(displacement.data)
    before, after = [], []
    for axis, count in enumerate(displacement.grid.shape):
        along = torch.einsum("j,jdhw->dhw", to_index[axis], displacement.data).movedim(axis, 0)
        along = along + torch.arange(count).to(along)[:, None, None]
        before.append(margin_vox + max(0, ceil(-float(along.min()))))
        after.append(margin_vox + max(0, ceil(float(along.max()) - (count - 1.0))))
    return padded(displacement.grid, (before[0], before[1], before[2]), (after[0], after[1], after[2]))


def _index_points(grid: Grid, lattice: Grid, like: Float[Tensor, "3 d h w"]) -> Float[Tensor, "n 3"]:
    """Voxel centres of a grid, in index coordinates of another."""
    return lattice.to_index(voxel_centres_mm(grid)).reshape(-1, 3).to(like)
