"""Affine, similarity and rigid fits to matched points: closed-form, and robust to outliers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from samereg.errors import DegeneratePointsError
from samereg.estimate.loop import iterate
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine

FLATTEST = 1e-3
"""Minimum ratio of smallest to largest extent of non-degenerate points."""

HYPOTHESES = 300
"""Number of random subsets: about 19 are free of outliers at 50 % outliers, about 5 at 65 %."""

SUBSET_SIZE = 4
SCORED_POINTS = 1000
FINALISTS = 4
BALANCE_CELL_MM = 64.0
"""Cell size in mm; subsets sample cells uniformly, so that they span the body despite clustered matches."""

MAX_STRETCH = 2.0
"""Maximum stretch between two people along any direction; other hypotheses are rejected."""

SCALE_DECAY = 0.7
FIRST_SCALE = 3.0
SETTLED_MM = 0.01
MAX_ITERATIONS = 60


@runtime_checkable
class Fit(Protocol):
    """A closed-form fit of a map to points, matches and weights."""

    def __call__(
        self,
        fixed_mm: Float64[Tensor, "n 3"],
        moving_mm: Float64[Tensor, "n 3"],
        *,
        weights: Float64[Tensor, " n"],
    ) -> Affine:
        """The map, fixed world to moving world."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RobustFit:
    """Result of a robust fit.

    Attributes:
        affine: fixed world to moving world.
        inliers: matches within the inlier distance of the map.
        outcome: how the refinement ended.
    """

    affine: Affine
    inliers: Bool[Tensor, " n"]
    outcome: Outcome


def fit_affine(
    fixed_mm: Float64[Tensor, "n 3"],
    moving_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
) -> Affine:
    """Least-squares affine map from fixed points to their matches.

    Minimises ``sum_i w_i |A p_i + t - q_i|^2`` (SAME, eq. 1, in the pull-back direction). Closed form; no
    outlier rejection.

    Args:
        fixed_mm: points ``p`` in the fixed image, world frame (LPS+), mm.
        moving_mm: their matches ``q`` in the moving image, same order and frame.
        weights: of the matches, >= 0; only ratios matter.

    Returns:
        Fixed world to moving world.

    Raises:
        DegeneratePointsError: fewer than 4 points with weight, or all in one plane.
    """
    centred = _centred(fixed_mm, moving_mm, weights)
    _refuse_flat(centred, weights, dimensions=3)
    linear = torch.linalg.solve(centred.spread, centred.cross).T
    return _around(linear, centred)


def fit_rigid(
    fixed_mm: Float64[Tensor, "n 3"],
    moving_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
) -> Affine:
    """Least-squares rigid map from fixed points to their matches; never a reflection.

    Minimises ``sum_i w_i |R p_i + t - q_i|^2`` (Umeyama, 1991). Closed form; no outlier rejection.

    Args:
        fixed_mm: points ``p`` in the fixed image, world frame (LPS+), mm.
        moving_mm: their matches ``q``, same order and frame.
        weights: of the matches, >= 0; only ratios matter.

    Returns:
        Fixed world to moving world.

    Raises:
        DegeneratePointsError: fewer than 3 points with weight, or all on one line.
    """
    centred = _centred(fixed_mm, moving_mm, weights)
    _refuse_flat(centred, weights, dimensions=2)
    rotation, _ = _rotation(centred)
    return _around(rotation, centred)


def fit_similarity(
    fixed_mm: Float64[Tensor, "n 3"],
    moving_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
) -> Affine:
    """Least-squares similarity map from fixed points to their matches; never a reflection.

    Minimises ``sum_i w_i |s R p_i + t - q_i|^2`` (Umeyama, 1991). Closed form; no outlier rejection.

    Args:
        fixed_mm: points ``p`` in the fixed image, world frame (LPS+), mm.
        moving_mm: their matches ``q``, same order and frame.
        weights: of the matches, >= 0; only ratios matter.

    Returns:
        Fixed world to moving world.

    Raises:
        DegeneratePointsError: fewer than 3 points with weight, all on one line, or coincident matches.
    """
    centred = _centred(fixed_mm, moving_mm, weights)
    _refuse_flat(centred, weights, dimensions=2)
    rotation, correlation = _rotation(centred)
    scale = correlation / float(centred.spread.trace())
    if scale <= 0.0:
        raise DegeneratePointsError("all matches coincide; a similarity transform needs distinct matches")
    return _around(scale * rotation, centred)


def fit_robust(
    fixed_mm: Float64[Tensor, "n 3"],
    moving_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
    fit: Fit = fit_affine,
    inlier_mm: float = 20.0,
    seed: int = 0,
) -> RobustFit:
    """Robust fit of a map to matches with outliers.

    The best of many fits to small random subsets by a truncated squared error (MSAC; Torr
    and Zisserman, 2000), refined by reweighted least squares with the weight of Geman and McClure,
    ``(c^2 / (c^2 + r^2))^2``, while ``c`` decreases to `inlier_mm`. Works for up to about 60 % outliers.

    Args:
        fixed_mm: points in the fixed image, world frame (LPS+), mm.
        moving_mm: their matches, same order and frame.
        weights: of the matches, >= 0; only ratios matter.
        fit: `fit_affine`, `fit_rigid` or `fit_similarity`.
        inlier_mm: residual at which a match has a quarter of its weight; larger ones are outliers. Should be
            well above the noise of the matches plus the deformation that the map cannot model.
        seed: of the random subsets.

    Returns:
        Bitwise reproducible for the same input and seed.

    Raises:
        DegeneratePointsError: see `fit`; for all matches or for the inliers.
    """
    matches = _Matched(fixed_mm=fixed_mm, moving_mm=moving_mm, weights=weights)
    starts = _starts(matches, fit=fit, inlier_mm=inlier_mm, seed=seed)
    ends = [_refined(start, matches, fit=fit, inlier_mm=inlier_mm) for start in starts]
    costs = [_truncated_cost(affine, matches, inlier_mm) for affine, _ in ends]
    affine, outcome = ends[costs.index(min(costs))]
    return RobustFit(affine=affine, inliers=matches.residual_mm(affine) < inlier_mm, outcome=outcome)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Matched:
    fixed_mm: Float64[Tensor, "n 3"]
    moving_mm: Float64[Tensor, "n 3"]
    weights: Float64[Tensor, " n"]

    def residual_mm(self, affine: Affine) -> Float64[Tensor, " n"]:
        offsets: Tensor = affine.apply(self.fixed_mm) - self.moving_mm
        return offsets.square().sum(1).sqrt()

    def some(self, index: Int64[Tensor, " m"]) -> "_Matched":
        return _Matched(fixed_mm=self.fixed_mm[index], moving_mm=self.moving_mm[index], weights=self.weights[index])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Refining:
    affine: Affine
    scale_mm: float


def _refined(start: Affine, matches: _Matched, *, fit: Fit, inlier_mm: float) -> tuple[Affine, Outcome]:
    def step(state: _Refining) -> _Refining:
        ratio = matches.residual_mm(state.affine) / state.scale_mm
        trusted = matches.weights / (1.0 + ratio.square()).square()
        affine = fit(matches.fixed_mm, matches.moving_mm, weights=trusted)
        return _Refining(affine=affine, scale_mm=max(inlier_mm, state.scale_mm * SCALE_DECAY))

    def settled(before: _Refining, after: _Refining) -> bool:
        moved_mm = (before.affine.apply(matches.fixed_mm) - after.affine.apply(matches.fixed_mm)).abs()
        return before.scale_mm == inlier_mm and float(moved_mm.max()) < SETTLED_MM

    first = _Refining(affine=start, scale_mm=FIRST_SCALE * inlier_mm)
    last, outcome = iterate(step, first, max_iterations=MAX_ITERATIONS, done=settled)
    return last.affine, outcome


def _starts(matches: _Matched, *, fit: Fit, inlier_mm: float, seed: int) -> list[Affine]:
    """The fit to all matches and the best fits to random subsets."""
    everything = fit(matches.fixed_mm, matches.moving_mm, weights=matches.weights)
    generator = torch.Generator().manual_seed(seed)
    scored = matches.some(torch.randperm(len(matches.weights), generator=generator)[:SCORED_POINTS])
    hypotheses = list(_hypotheses(matches, fit, generator))
    costs = [_truncated_cost(hypothesis, scored, inlier_mm) for hypothesis in hypotheses]
    ranked = sorted(range(len(costs)), key=costs.__getitem__)
    return [everything, *(hypotheses[i] for i in ranked[:FINALISTS])]


def _hypotheses(matches: _Matched, fit: Fit, generator: torch.Generator) -> Iterator[Affine]:
    cells = (matches.fixed_mm / BALANCE_CELL_MM).floor().long()
    _, cell, counts = torch.unique(cells, dim=0, return_inverse=True, return_counts=True)
    chances = matches.weights / counts[cell]
    drawn = torch.multinomial(chances, HYPOTHESES * SUBSET_SIZE, replacement=True, generator=generator)
    for subset in drawn.reshape(HYPOTHESES, SUBSET_SIZE):
        few = matches.some(subset)
        try:
            affine = fit(few.fixed_mm, few.moving_mm, weights=torch.ones_like(few.weights))
        except DegeneratePointsError:
            continue
        if _is_plausible(affine):
            yield affine


def _is_plausible(affine: Affine) -> bool:
    stretches = torch.linalg.svdvals(affine.linear)
    upright = float(torch.linalg.det(affine.linear)) > 0.0
    return upright and float(stretches[0]) < MAX_STRETCH and float(stretches[2]) > 1.0 / MAX_STRETCH


def _truncated_cost(affine: Affine, matches: _Matched, inlier_mm: float) -> float:
    squared = matches.residual_mm(affine).square().clamp(max=inlier_mm**2)
    return float((matches.weights * squared).sum())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Centred:
    """Weighted second moments about the centroids: `spread` of p with p, `cross` of p with q."""

    fixed_centre_mm: Float64[Tensor, "3"]
    moving_centre_mm: Float64[Tensor, "3"]
    spread: Float64[Tensor, "3 3"]
    cross: Float64[Tensor, "3 3"]


def _centred(
    fixed_mm: Float64[Tensor, "n 3"], moving_mm: Float64[Tensor, "n 3"], weights: Float64[Tensor, " n"]
) -> _Centred:
    total = float(weights.sum())
    if not total > 0.0:
        raise DegeneratePointsError(f"got {len(weights)} matches, all with weight 0; need matches with positive weight")
    shares = (weights / total)[:, None]
    fixed_centre, moving_centre = (shares * fixed_mm).sum(0), (shares * moving_mm).sum(0)
    fixed, moving = fixed_mm - fixed_centre, moving_mm - moving_centre
    return _Centred(
        fixed_centre_mm=fixed_centre,
        moving_centre_mm=moving_centre,
        spread=(shares * fixed).T @ fixed,
        cross=(shares * fixed).T @ moving,
    )


def _refuse_flat(centred: _Centred, weights: Float64[Tensor, " n"], *, dimensions: int) -> None:
    """Checks that points span the dimensions that the map needs."""
    counted = int((weights > 0).sum())
    if counted <= dimensions:
        raise DegeneratePointsError(f"got {counted} matches with weight; at least {dimensions + 1} are needed")
    extents_mm = torch.linalg.eigvalsh(centred.spread).clamp(min=0.0).sqrt()
    if float(extents_mm[3 - dimensions]) <= FLATTEST * float(extents_mm[2]):
        shape = {2: "on one line", 3: "in one plane"}[dimensions]
        raise DegeneratePointsError(
            f"the {counted} matched points lie {shape}; the map needs points that span {dimensions} dimensions"
        )


def _rotation(centred: _Centred) -> tuple[Float64[Tensor, "3 3"], float]:
    """Best rotation, and its correlation: the trace of the signed singular values."""
    left, values, right = torch.linalg.svd(centred.cross.T)
    signs = torch.ones(3, dtype=torch.float64)
    signs[2] = torch.sign(torch.linalg.det(left) * torch.linalg.det(right))
    return left @ torch.diag(signs) @ right, float((signs * values).sum())


def _around(linear: Float64[Tensor, "3 3"], centred: _Centred) -> Affine:
    return Affine.from_parts(linear, centred.moving_centre_mm - linear @ centred.fixed_centre_mm)
