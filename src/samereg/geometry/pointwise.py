"""Inverses of transforms at single points, as exact as the transform itself; no lattice in between."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import parts
from samereg.geometry.transform import Transform

DIFFERENCE_MM = 0.25
"""Half the distance over which slopes are measured; fields of CT have voxels of several times that."""

LONGEST_STEP_MM = 30.0
"""No step goes farther: a slope says nothing about places that far away."""

SHORTEST_STEP = 1.0 / 64.0
"""A step that does not help is shortened to this share at least."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PointInversion:
    """Points that a transform takes to given places.

    Attributes:
        points_mm: fixed-world positions ``x``.
        residual_mm: ``|T(x) - y|``; what is left shows that nothing maps there, or that the map folds.
    """

    points_mm: Float64[Tensor, "n 3"]
    residual_mm: Float64[Tensor, " n"]


def invert_at_points(
    transform: Transform,
    targets_mm: Float64[Tensor, "n 3"],
    *,
    start_mm: Float64[Tensor, "n 3"] | None = None,
    iterations: int = 60,
    tolerance_mm: float = 1e-4,
) -> PointInversion:
    """Where the transform has to start to end at each target: ``x`` with ``T(x) = y``.

    Newton's method with measured slopes; a step that does not bring a point nearer is halved.

    Args:
        transform: fixed world to moving world.
        targets_mm: moving-world positions ``y``.
        start_mm: first guess of ``x``; by default from the parts, each undone to first order.
        iterations: most steps to take.
        tolerance_mm: a point this near to its target is solved.
    """
    points = _first_guess(transform, targets_mm) if start_mm is None else start_mm.clone()
    left = transform.apply(points) - targets_mm
    share = torch.ones(len(points), 1, dtype=torch.float64)
    for _ in range(iterations):
        if not bool((left.norm(dim=1) > tolerance_mm).any()):
            break
        tried = points - share * _newton_step(transform, points, left)
        tried_left = transform.apply(tried) - targets_mm
        better = tried_left.norm(dim=1, keepdim=True) < left.norm(dim=1, keepdim=True)
        points, left = torch.where(better, tried, points), torch.where(better, tried_left, left)
        share = torch.where(better, (2.0 * share).clamp(max=1.0), (share / 2.0).clamp(min=SHORTEST_STEP))
    return PointInversion(points_mm=points, residual_mm=left.norm(dim=1))


def _first_guess(transform: Transform, targets_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
    position = targets_mm
    for part in reversed(parts(transform)):
        position = part.inverse().apply(position) if isinstance(part, Affine) else 2.0 * position - part.apply(position)
    return position.clone()


def _newton_step(
    transform: Transform, points: Float64[Tensor, "n 3"], left: Float64[Tensor, "n 3"]
) -> Float64[Tensor, "n 3"]:
    columns = []
    for unit in torch.eye(3, dtype=torch.float64):
        ahead, behind = points + DIFFERENCE_MM * unit, points - DIFFERENCE_MM * unit
        columns.append((transform.apply(ahead) - transform.apply(behind)) / (2.0 * DIFFERENCE_MM))
    # Least squares: where the map is flat, a step exists all the same.
    step: Tensor = torch.linalg.pinv(torch.stack(columns, dim=-1)) @ left[:, :, None]
    length = step[..., 0].norm(dim=1, keepdim=True)
    limited: Tensor = step[..., 0] * (LONGEST_STEP_MM / length.clamp(min=LONGEST_STEP_MM))
    return limited
