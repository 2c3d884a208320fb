"""What a stage is: settings whose `run` takes a pair and a start, and returns a better transform."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from samereg.estimate.outcome import Outcome
from samereg.geometry.transform import Transform
from samereg.matching.matches import Matches
from samereg.pipeline.pair import Pair


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageResult:
    """What a stage found.

    Attributes:
        transform: fixed world to moving world, the start included.
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

    def run(self, pair: Pair, start: Transform) -> StageResult:
        """Improve on a start.

        Raises:
            NoOverlapError: nothing trustworthy to go on.
        """
