"""Registration of two CT volumes."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from samereg.estimate.outcome import Outcome
from samereg.geometry.chain import chain
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.matching.embed import Embedder
from samereg.matching.matches import Matches, no_matches
from samereg.ops.ambient import own_torch
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.guidance import Guidance, LandmarkResidual, LandmarkStage, guided, residuals
from samereg.pipeline.orientation import Turns, between, turned_pair, worlds
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.quality import Quality, measure
from samereg.pipeline.stage import Stage, StageResult, beginning

_LOG = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Progress callback: takes a description, the completed steps and the total number of steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageReport:
    """Report of a stage.

    Attributes:
        name: of the stage.
        seconds: wall time.
        outcome: how it ended.
        matches: number of searched points.
        used: number of used matches.
    """

    name: str
    seconds: float
    outcome: Outcome
    matches: int
    used: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Registration:
    """Result of a registration.

    Attributes:
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        matches: of the last matching stage, in the worlds of both scans.
        stages: reports of preparation and of each stage.
        quality: measures that need no labels.
        turns: corrections of wrong orientations in the headers; transforms and matches are nevertheless
            between the scans as stored.
        landmarks: how each landmark of the user is kept.
    """

    transform: Transform
    inverse: Transform
    matches: Matches
    stages: tuple[StageReport, ...]
    quality: Quality
    turns: Turns = field(default_factory=Turns)
    landmarks: tuple[LandmarkResidual, ...] = ()


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
    """Registers the moving scan to the fixed scan.

    Args:
        fixed: CT in HU; any grid.
        moving: CT in HU; any grid.
        stages: a recipe of `pipeline/recipes.py`; at least one stage.
        embedder: the anatomical embedding.
        start: initial transform, fixed world to moving world; by default the identity.
            Affine stages ignore it.
        on_progress: progress callback.

    Raises:
        InputError: a scan shows no body.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
    """
    if on_progress:
        on_progress("preparing and embedding both scans", 0, len(stages) + 2)
    pair = Pair(fixed=prepare_scan(fixed, embedder), moving=prepare_scan(moving, embedder), embedder=embedder)
    return register_pair(pair, stages=stages, start=start, on_progress=on_progress)


@own_torch()
def register_pair(
    stored: Pair,
    *,
    stages: tuple[Stage, ...],
    start: Transform | None = None,
    guidance: Guidance | None = None,
    on_progress: OnProgress | None = None,
) -> Registration:
    """Registers a prepared pair.

    Args:
        stored: both prepared scans, in their stored orientation.
        stages: a recipe of `pipeline/recipes.py`; at least one stage.
        start: see `register`.
        guidance: landmarks and masks; landmarks are kept exactly if the stages end with a `LandmarkStage`.
        on_progress: progress callback; preparation counts as one completed step.

    Raises:
        InputError: landmarks that contradict each other, or a mask that leaves nothing.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
    """
    clock = _Clock(len(stages) + 2, on_progress)
    clock.start("checking the orientation of both scans")
    finders = [stage for stage in stages if isinstance(stage, AffineStage)] if start is None else []
    turns = finders[0].turns(stored) if finders else Turns()
    to_fixed, to_moving = worlds(stored, turns)
    pair = guided(turned_pair(stored, turns), guidance or Guidance(), (to_fixed, to_moving), start)
    prepared = Outcome(converged=True, message="embedded both scans", iterations=1)
    seconds = round(stored.fixed.seconds + stored.moving.seconds + clock.stop(), 3)
    reports = [StageReport(name="prepare", seconds=seconds, outcome=prepared, matches=0, used=0)]
    result = beginning(start)
    uncorrected = result.transform
    matches: Matches | None = None
    for stage in stages:
        clock.start(stage.name)
        result = stage.run(pair, result)
        matches = matches if result.matches is None else result.matches
        uncorrected = uncorrected if isinstance(stage, LandmarkStage) else result.transform
        reports.append(_report(stage, result, clock.stop()))
    clock.start("inverting and checking")
    matches = no_matches() if matches is None else matches
    inverse = result.transform.inverse()
    quality = measure(pair, result.transform, inverse, matches)
    inverted = Outcome(converged=True, message="inverted and measured", iterations=1)
    reports.append(StageReport(name="inverse", seconds=clock.stop(), outcome=inverted, matches=0, used=0))
    from_fixed, from_moving = to_fixed.inverse(), to_moving.inverse()
    return Registration(
        transform=between(to_fixed, result.transform, from_moving),
        inverse=between(to_moving, inverse, from_fixed),
        matches=replace(
            matches, fixed_mm=from_fixed.apply(matches.fixed_mm), moving_mm=from_moving.apply(matches.moving_mm)
        ),
        stages=tuple(reports),
        quality=quality,
        turns=turns,
        landmarks=residuals(pair.landmarks, start or chain(from_fixed, to_moving), uncorrected, result.transform),
    )


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
    """Measures the time of each step and reports progress."""

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
