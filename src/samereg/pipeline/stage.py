"""Interface of stages: settings whose `run` improves on a previous result."""

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
    """Result of a stage.

    Attributes:
        transform: fixed world to moving world, including the previous transform.
        matches: its matches, `moving_mm` in the world of the moving scan; None for a stage that uses
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
        """Name for logs and records."""

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """Improves on the previous result.

        Raises:
            NoOverlapError: too few reliable matches.
        """


def beginning(start: Transform | None = None) -> StageResult:
    """Input of the first stage.

    Args:
        start: initial transform, fixed world to moving world; by default the identity.
    """
    transform = Affine.identity() if start is None else start
    return StageResult(transform=transform, matches=None, outcome=Outcome(converged=True, message="", iterations=0))


@own_torch()
def run_sequence(stages: tuple[Stage, ...], pair: Pair, start: Transform | None = None) -> StageResult:
    """Runs stages in sequence and returns the last result.

    Args:
        stages: a recipe of `pipeline/recipes.py`.
        pair: both scans.
        start: initial transform, fixed world to moving world; by default the identity.

    Raises:
        NoOverlapError: too little common anatomy.
    """
    result = beginning(start)
    for stage in stages:
        result = stage.run(pair, result)
    return result
