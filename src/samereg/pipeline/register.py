"""Two CT volumes in, one registration out; no paths here."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from samereg.estimate.outcome import Outcome
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import strided
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.matching.embed import Embedder
from samereg.matching.matches import Matches, no_matches
from samereg.matching.points import grid_points, mask_at
from samereg.metrics.fields import folded_fraction
from samereg.ops.ambient import own_torch
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.stage import Stage, StageResult, beginning

_LOG = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Called with a description, steps done and steps in all."""

QUALITY_STRIDE_VOX = 2
"""Folding and overlap are measured at every second voxel of model space, 4 mm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageReport:
    """How a stage went.

    Attributes:
        name: of the stage.
        seconds: wall time.
        outcome: how it ended.
        matches: points looked for.
        used: matches it rests on.
    """

    name: str
    seconds: float
    outcome: Outcome
    matches: int
    used: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """What can be measured of a registration without labels.

    Attributes:
        match_count: matches that the last stage that matched points rests on.
        inverse_consistency_mm: mean distance of body points from where they began, after there and back.
        folded_fraction: part of the body where the map turns inside out.
        jacobian_std: standard deviation over the body of the Jacobian determinant, the paper's measure of smoothness.
        overlap_fraction: part of the fixed body that lands in the moving body.
    """

    match_count: int
    inverse_consistency_mm: float
    folded_fraction: float
    jacobian_std: float
    overlap_fraction: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Registration:
    """Result of a registration.

    Attributes:
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last stage that matched points, in the worlds of both scans.
        stages: report of preparation and of each stage.
        quality: measured without labels.
    """

    transform: Transform
    inverse: Transform
    matches: Matches
    stages: tuple[StageReport, ...]
    quality: Quality


@own_torch()
def register(
    fixed: Volume,
    moving: Volume,
    *,
    stages: tuple[Stage, ...],
    embedder: Embedder,
    start: Transform | None = None,
    on_progress: OnProgress | None = None,
) -> Registration:
    """Align the moving scan with the fixed one.

    Args:
        fixed: CT in HU; any grid.
        moving: CT in HU; any grid.
        stages: a recipe of `pipeline/recipes.py`; at least one stage.
        embedder: the anatomical embedding.
        start: fixed world to moving world, from elsewhere: what the first stage begins with; by default the identity.
            An affine stage finds its own and does not look at it.
        on_progress: told about each step.

    Raises:
        InputError: a scan without a body.
        NoOverlapError: too little common anatomy.
    """
    clock = _Clock(len(stages) + 2, on_progress)
    clock.start("preparing and embedding both scans")
    pair = Pair(fixed=prepare_scan(fixed, embedder), moving=prepare_scan(moving, embedder), embedder=embedder)
    prepared = Outcome(converged=True, message="embedded both scans", iterations=1)
    reports = [StageReport(name="prepare", seconds=clock.stop(), outcome=prepared, matches=0, used=0)]
    result = beginning(start)
    matches: Matches | None = None
    for stage in stages:
        clock.start(stage.name)
        result = stage.run(pair, result)
        matches = matches if result.matches is None else result.matches
        reports.append(_report(stage, result, clock.stop()))
    clock.start("inverting and checking")
    transform, inverse = result.transform, result.transform.inverse()
    matches = no_matches() if matches is None else matches
    quality = measure(pair, transform, inverse, matches)
    inverted = Outcome(converged=True, message="inverted and measured", iterations=1)
    reports.append(StageReport(name="inverse", seconds=clock.stop(), outcome=inverted, matches=0, used=0))
    return Registration(transform=transform, inverse=inverse, matches=matches, stages=tuple(reports), quality=quality)


def measure(pair: Pair, transform: Transform, inverse: Transform, matches: Matches) -> Quality:
    """Quality of a transform, on the body of the fixed scan."""
    grid = pair.fixed.model.grid
    points_mm = grid_points(grid, body=pair.fixed.body, stride_vox=4 * QUALITY_STRIDE_VOX)
    folded, spread = measure_regularity(pair, transform)
    return Quality(
        match_count=int(matches.used.sum()),
        inverse_consistency_mm=float(_reachable_error_mm(pair, transform, inverse, points_mm).mean()),
        folded_fraction=folded,
        jacobian_std=spread,
        overlap_fraction=float(
            mask_at(pair.moving.body, pair.moving.model.grid, transform.apply(points_mm)).double().mean()
        ),
    )


def measure_regularity(pair: Pair, transform: Transform) -> tuple[float, float]:
    """Folded fraction, and standard deviation of the Jacobian determinant, over the body of the fixed scan."""
    at = slice(None, None, QUALITY_STRIDE_VOX)
    jacobian = jacobian_determinant_mm(from_transform(transform, strided(pair.fixed.model.grid, QUALITY_STRIDE_VOX)))
    body = pair.fixed.body[at, at, at].cpu()
    return folded_fraction(jacobian, body), float(jacobian[body].std())


def _reachable_error_mm(
    pair: Pair, transform: Transform, inverse: Transform, points_mm: Float64[Tensor, "n 3"]
) -> Float64[Tensor, " m"]:
    """Inverse-consistency error where the moving scan exists; of all points if it exists for none."""
    landed = pair.moving.model.grid.contains(transform.apply(points_mm))
    kept = points_mm[landed] if bool(landed.any()) else points_mm
    return inverse_consistency_mm(transform, inverse, kept)


def _report(stage: Stage, result: StageResult, seconds: float) -> StageReport:
    matches = no_matches() if result.matches is None else result.matches
    used = int(matches.used.sum())
    _LOG.info("%s: %s, %d of %d matches used, %.2f s", stage.name, result.outcome.message, used, len(matches), seconds)
    return StageReport(
        name=stage.name,
        seconds=seconds,
        outcome=result.outcome,
        matches=len(matches),
        used=used,
    )


class _Clock:
    """Times the steps of a registration and tells about them."""

    def __init__(self, steps: int, on_progress: OnProgress | None) -> None:
        self.steps, self.done, self.on_progress = steps, 0, on_progress
        self.began = time.perf_counter()

    def start(self, description: str) -> None:
        if self.on_progress:
            self.on_progress(description, self.done, self.steps)
        self.began = time.perf_counter()

    def stop(self) -> float:
        self.done += 1
        return round(time.perf_counter() - self.began, 3)
