"""Newton's method with finite-difference Jacobians, to invert a map of space at given points."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Mapping = Callable[[Tensor], Tensor]
"""Points (n, 3) to points (n, 3)."""

SHORTEST_STEP = 1.0 / 64.0
"""Minimum length of a damped step, as a fraction of the full step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Newton:
    """Settings of the solver; lengths in the units of the points.

    Attributes:
        difference: half-width of the finite differences.
        longest: maximum step, because a Jacobian is valid only locally.
        tolerance: maximum distance to the target of a solved point.
        iterations: maximum number of iterations.
    """

    difference: float
    longest: float
    tolerance: float
    iterations: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solved:
    """Points, the remaining difference of each to its target, and the number of iterations."""

    points: Float[Tensor, "n 3"]
    left: Float[Tensor, "n 3"]
    iterations: int


def descend(
    mapping: Mapping, targets: Float[Tensor, "n 3"], start: Float[Tensor, "n 3"], *, settings: Newton
) -> Solved:
    """Points ``x`` with ``f(x) = y``, or the closest points found from one start.

    A step that does not reduce the distance is rejected, and the next one is half as long.

    Args:
        mapping: ``f``, differentiable almost everywhere.
        targets: ``y``.
        start: initial ``x``.
        settings: lengths and limits.
    """
    points, left = start.clone(), mapping(start) - targets
    share = torch.ones_like(points[:, :1])
    for taken in range(settings.iterations):
        active = (left.norm(dim=1) > settings.tolerance).nonzero().flatten()
        if not len(active):
            return Solved(points=points, left=left, iterations=taken)
        before = left[active].norm(dim=1, keepdim=True)
        tried = points[active] - share[active] * _step(mapping, points[active], left[active], settings)
        tried_left = mapping(tried) - targets[active]
        better = tried_left.norm(dim=1, keepdim=True) < before
        points[active] = torch.where(better, tried, points[active])
        left[active] = torch.where(better, tried_left, left[active])
        longer, shorter = (2.0 * share[active]).clamp(max=1.0), (share[active] / 2.0).clamp(min=SHORTEST_STEP)
        share[active] = torch.where(better, longer, shorter)
    return Solved(points=points, left=left, iterations=settings.iterations)


def _step(
    mapping: Mapping, points: Float[Tensor, "n 3"], left: Float[Tensor, "n 3"], settings: Newton
) -> Float[Tensor, "n 3"]:
    columns = []
    for unit in torch.eye(3, dtype=points.dtype, device=points.device):
        ahead, behind = points + settings.difference * unit, points - settings.difference * unit
        columns.append((mapping(ahead) - mapping(behind)) / (2.0 * settings.difference))
    # Least squares: a step exists even where the Jacobian is singular.
    step: Tensor = torch.linalg.pinv(torch.stack(columns, dim=-1)) @ left[:, :, None]
    length = step[..., 0].norm(dim=1, keepdim=True)
    limited: Tensor = step[..., 0] * (settings.longest / length.clamp(min=settings.longest))
    return limited
