"""What a stage is: settings whose `run` takes a pair and what was found before, and finds something better."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.matching.matches import Matches
from samereg.ops.ambient import own_torch
from samereg.pipeline.pair import Pair


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageResult:
    """What a stage found.

    Attributes:
        transform: fixed world to moving world, what was found before included.
        matches: the points it rests on, `moving_mm` in the world of the moving scan; None for a stage that looks at
            whole images.
        outcome: how it ended.
    """

    transform: Transform
    matches: Matches | None
    outcome: Outcome


@runtime_checkable
class Stage(Protocol):
    """One step of a registration; a frozen dataclass of its settings."""

    @property
    def name(self) -> str:
        """Word for logs and records."""

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """Improve on what was found before.

        Raises:
            NoOverlapError: nothing trustworthy to go on.
        """


def beginning(start: Transform | None = None) -> StageResult:
    """What the first stage is given.

    Args:
        start: fixed world to moving world; the identity if not given.
    """
    transform = Affine.identity() if start is None else start
    return StageResult(transform=transform, matches=None, outcome=Outcome(converged=True, message="", iterations=0))


@own_torch()
def run_in_turn(stages: tuple[Stage, ...], pair: Pair, start: Transform | None = None) -> StageResult:
    """What the last of some stages finds, each beginning with what the one before it found.

    Args:
        stages: a recipe of `pipeline/recipes.py`.
        pair: both scans.
        start: fixed world to moving world; the identity if not given.

    Raises:
        NoOverlapError: too little common anatomy.
    """
    result = beginning(start)
    for stage in stages:
        result = stage.run(pair, result)
    return result
