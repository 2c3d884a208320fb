"""Inverses of transforms at single points, as accurate as the transform itself, without a grid."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.domain import in_domain
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.ops.newton import Newton, descend
from samereg.ops.sample import sample_grid

DIFFERENCE_MM = 0.25
"""Half-width of the finite differences; the voxels of CT fields are several times larger."""

MAX_STEP_MM = 30.0
"""Maximum step: a Jacobian is valid only locally."""

_RESTARTS_MM = 10.0 * torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
"""Offsets from the initial point at which stuck points restart."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PointInversion:
    """Points that a transform maps to given targets.

    Attributes:
        points_mm: fixed-world positions ``x``.
        residual_mm: ``|T(x) - y|``; a large residual means that nothing maps there, or that the map folds.
    """

    points_mm: Float64[Tensor, "n 3"]
    residual_mm: Float64[Tensor, " n"]


def invert_at_points(
    transform: Transform,
    targets_mm: Float64[Tensor, "n 3"],
    *,
    iterations: int = 30,
    tolerance_mm: float = 1e-4,
) -> PointInversion:
    """Preimage of each target: ``x`` with ``T(x) = y``.

    Newton's method with finite differences. A step that does not reduce the residual is halved, and a point that gets
    stuck restarts nearby. Outside their grids fields take their border values while a solution inside
    is sought: being the identity out there, a transform can reach a target twice, and the solution inside the field is
    the intended one. The identity is used only where there is none.

    Args:
        transform: fixed world to moving world.
        targets_mm: moving-world positions ``y``.
        iterations: maximum number of iterations from each start.
        tolerance_mm: maximum distance to the target of a solved point.
    """
    continued = chain_all([_continued(part) for part in parts(transform)])
    points, left = _solve(continued, targets_mm, iterations=iterations, tolerance_mm=tolerance_mm)
    beyond = (~in_domain(transform, points)).nonzero().flatten()
    if len(beyond):
        points[beyond], left[beyond] = _solve(
            transform, targets_mm[beyond], iterations=iterations, tolerance_mm=tolerance_mm
        )
    return PointInversion(points_mm=points, residual_mm=left.norm(dim=1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Continued:
    """A field that takes its border values outside its grid."""

    field: Displacement

    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        index = self.field.grid.to_index(points_mm)
        sampled = sample_grid(self.field.data[None], index[None], clamp=True)[0]
        return points_mm + sampled.movedim(0, -1)

    def inverse(self) -> Displacement:
        return self.field.inverse()


def _continued(part: Transform) -> Transform:
    field = part.displacement if isinstance(part, Velocity) else part
    return _Continued(field=field) if isinstance(field, Displacement) else part


def _solve(
    transform: Transform, targets_mm: Float64[Tensor, "n 3"], *, iterations: int, tolerance_mm: float
) -> tuple[Float64[Tensor, "n 3"], Float64[Tensor, "n 3"]]:
    """Points and their residuals, from the initial guess or, where that fails, from offsets of it."""
    settings = Newton(difference=DIFFERENCE_MM, longest=MAX_STEP_MM, tolerance=tolerance_mm, iterations=iterations)
    guess = _first_guess(transform, targets_mm)
    points, left = guess.clone(), transform.apply(guess) - targets_mm
    for offset in (torch.zeros(3, dtype=torch.float64), *_RESTARTS_MM):
        unsolved = (left.norm(dim=1) > tolerance_mm).nonzero().flatten()
        if not len(unsolved):
            break
        tried = descend(transform.apply, targets_mm[unsolved], guess[unsolved] + offset, settings=settings)
        better = tried.left.norm(dim=1) < left[unsolved].norm(dim=1)
        points[unsolved[better]], left[unsolved[better]] = tried.points[better], tried.left[better]
    return points, left


def _first_guess(transform: Transform, targets_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
    position = targets_mm
    for part in reversed(parts(transform)):
        position = part.inverse().apply(position) if isinstance(part, Affine) else 2.0 * position - part.apply(position)
    return position.clone()
