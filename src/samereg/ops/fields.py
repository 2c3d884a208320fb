"""Algebra of displacement fields in index units: components along (d, h, w), in voxels; no millimetres."""

from dataclasses import dataclass, replace
from math import ceil, log2

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from samereg.errors import GeometryError
from samereg.ops.newton import Newton, descend
from samereg.ops.sample import identity_grid, sample_grid

FIRST_STEP_VOX = 0.25
"""Maximum first step of an exponential: well under a voxel, so that composing trilinear steps does not fold."""

_CONTRACTION = 0.9
"""If more than this fraction of the residual remains after a step, later steps are damped."""
_MIN_STEP = 0.05
"""Minimum damping factor, as a fraction of a full step."""
_SIMPLE_STEPS = 15
"""Iterations of fixed-point steps; points unsolved by then, typically 1 %, are passed to Newton's method."""
_DIFFERENCE_VOX = 0.05
"""Half-width of the finite differences of Newton's method: well within a cell, where a field is smooth."""
_MAX_VOX = 4.0
"""Maximum step of Newton's method."""
_CROWDED = 0.7
"""Solved points are removed once the unsolved fraction falls below this value: compaction costs time too."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Inversion:
    """Solution of ``v(y) = -u(y + v(y))``.

    Attributes:
        field: ``v``, voxels along (d, h, w); for its shape see the function that returns it.
        residual_vox: ``v(y) + u(y + v(y))``, the residual of the equation.
        iterations: number of iterations performed.
    """

    field: Float[Tensor, "..."]
    residual_vox: Float[Tensor, "..."]
    iterations: int


def compose(first: Float[Tensor, "b 3 d h w"], then: Float[Tensor, "b 3 d h w"]) -> Float[Tensor, "b 3 d h w"]:
    """Composition of two displacement fields: ``w(x) = first(x) + then(x + first(x))``.

    Trilinear; outside its grid `then` takes its border values.
    """
    positions = _identity(first) + first.movedim(1, -1)
    return first + sample_grid(then, positions, clamp=True)


def exponential(velocity: Float[Tensor, "b 3 d h w"], *, squarings: int) -> Float[Tensor, "b 3 d h w"]:
    """Exponential of a stationary velocity field, by scaling and squaring.

    ``phi = exp(v)``: ``u <- v / 2^n``, then n times ``u <- u + u(x + u)`` (Arsigny et al., 2006). The exponential of
    ``-v`` is the inverse map. Outside its grid ``v`` takes its border values.

    Args:
        velocity: ``v``, voxels along (d, h, w) per unit time.
        squarings: ``n``; a larger number is more accurate, see `squarings_for`.
    """
    displacement = velocity / 2.0**squarings
    identity = _identity(velocity)
    for _ in range(squarings):
        positions = identity + displacement.movedim(1, -1)
        displacement = displacement + sample_grid(displacement, positions, clamp=True)
    return displacement


def squarings_for(velocity: Float[Tensor, "b 3 d h w"], *, first_step_vox: float = FIRST_STEP_VOX) -> int:
    """Number of squarings for which the first step is at most `first_step_vox`; at least 1."""
    largest = float(velocity.detach().square().sum(1).max()) ** 0.5
    return max(1, ceil(log2(max(largest, first_step_vox) / first_step_vox)))


def invert(displacement: Float[Tensor, "b 3 d h w"], *, iterations: int = 50, tolerance_vox: float = 1e-3) -> Inversion:
    """Inverse fields on the grid of the fields themselves, (b, 3, d, h, w); see `invert_at`."""
    points = _identity(displacement).reshape(-1, 3)
    solutions = [invert_at(field, points, iterations=iterations, tolerance_vox=tolerance_vox) for field in displacement]
    return Inversion(
        field=torch.stack([s.field for s in solutions]).reshape(displacement.shape),
        residual_vox=torch.stack([s.residual_vox for s in solutions]).reshape(displacement.shape),
        iterations=max(s.iterations for s in solutions),
    )


def invert_at(
    displacement: Float[Tensor, "3 d h w"],
    points_vox: Float[Tensor, "n 3"],
    *,
    start: Float[Tensor, "n 3"] | None = None,
    iterations: int = 50,
    tolerance_vox: float = 1e-3,
) -> Inversion:
    """Inverse of ``x -> x + u(x)`` at single points: ``v`` with ``v(y) = -u(y + v(y))``.

    Fixed-point iteration. Solved points are removed, and a point whose residual does not shrink takes
    shorter steps, which also solves fields that stretch more than twofold. The remaining few, where the field
    rotates or compresses strongly, are solved by Newton's method. Outside its grid ``u`` takes its border values. A
    field that folds has no inverse: its residual remains.

    Args:
        displacement: ``u``, voxels along (d, h, w).
        points_vox: ``y``, index coordinates on the grid of ``u``; may lie outside it.
        start: initial ``v``, by default ``-u(y)``.
        iterations: maximum number of iterations, at least 1.
        tolerance_vox: a point is solved when each component of its residual is below this.

    Returns:
        Field and residual (3, n), in the order of the points.
    """
    field = torch.empty_like(points_vox)
    residual = torch.empty_like(points_vox)
    state = _Active(
        order=torch.arange(len(points_vox), device=points_vox.device),
        points=points_vox,
        inverse=-_sample(displacement, points_vox) if start is None else start,
        step=torch.ones_like(points_vox[:, :1]),
        size=torch.full_like(points_vox[:, :1], torch.inf),
    )
    taken = 0
    for taken in range(1, min(iterations, _SIMPLE_STEPS) + 1):
        left = state.inverse + _sample(displacement, state.points + state.inverse)
        size = left.abs().amax(dim=1, keepdim=True)
        keep = size[:, 0] > tolerance_vox
        remaining = int(keep.sum())
        if remaining < _CROWDED * len(keep) or taken == min(iterations, _SIMPLE_STEPS):
            field[state.order], residual[state.order] = state.inverse, left
            if remaining == 0:
                return Inversion(field=field.T, residual_vox=residual.T, iterations=taken)
            state, left, size = state.keeping(keep), left[keep], size[keep]
        state = state.stepped(left, size)
    if taken < iterations:
        newton = Newton(
            difference=_DIFFERENCE_VOX, longest=_MAX_VOX, tolerance=tolerance_vox, iterations=iterations - taken
        )
        starts = state.points + field[state.order]
        solved = descend(lambda x: x + _sample(displacement, x), state.points, starts, settings=newton)
        field[state.order], residual[state.order] = solved.points - state.points, solved.left
        taken += solved.iterations
    return Inversion(field=field.T, residual_vox=residual.T, iterations=taken)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Active:
    """Points not yet solved: index in the result, position, ``v``, step length, norm of the last residual."""

    order: Int[Tensor, " n"]
    points: Float[Tensor, "n 3"]
    inverse: Float[Tensor, "n 3"]
    step: Float[Tensor, "n 1"]
    size: Float[Tensor, "n 1"]

    def keeping(self, keep: Bool[Tensor, " n"]) -> "_Active":
        return _Active(
            order=self.order[keep],
            points=self.points[keep],
            inverse=self.inverse[keep],
            step=self.step[keep],
            size=self.size[keep],
        )

    def stepped(self, left: Float[Tensor, "n 3"], size: Float[Tensor, "n 1"]) -> "_Active":
        damped = (self.step / 2).clamp(min=_MIN_STEP)
        step = torch.where(size > _CONTRACTION * self.size, damped, self.step)
        inverse = torch.addcmul(self.inverse, step, left, value=-1.0)
        return replace(self, inverse=inverse, step=step, size=size)


def jacobian_determinant(displacement: Float[Tensor, "b 3 d h w"]) -> Float[Tensor, "b d h w"]:
    """Jacobian determinant ``det(I + du/dx)``; not positive where the map folds.

    Central differences inside, one-sided ones at the border.

    Raises:
        GeometryError: fewer than two voxels along an axis.
    """
    if min(displacement.shape[2:]) < 2:
        raise GeometryError(
            f"a Jacobian needs at least two voxels along each axis, got {tuple(displacement.shape[2:])}"
        )
    rows = [torch.gradient(displacement[:, row], dim=(1, 2, 3)) for row in range(3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    a, e, i = a + 1.0, e + 1.0, i + 1.0
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _identity(displacement: Float[Tensor, "b 3 d h w"]) -> Float[Tensor, "d h w 3"]:
    depth, height, width = displacement.shape[2:]
    return identity_grid((depth, height, width), device=displacement.device).to(displacement.dtype)


def _sample(displacement: Float[Tensor, "3 d h w"], points_vox: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    return sample_grid(displacement[None], points_vox[None], clamp=True)[0].T
