"""Match filters: the paper's similarity threshold, and cycle consistency as in SAME++."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.matching.matches import Matches
from samereg.validation import Cosine, PositiveMm, check_ranges


@runtime_checkable
class MatchFilter(Protocol):
    """Selects and weights matches."""

    def keep(self, matches: Matches) -> Matches:
        """The matches with `used` set."""

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """Weight of each match, 0 to 1; 0 if it is not used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdFilter:
    """Keeps matches above a similarity threshold.

    Attributes:
        theta: minimum similarity. The paper's 0.7 is also the best of 0.5, 0.6 and 0.7 for the shipped embedding on
            validation scans.
    """

    theta: Cosine = 0.7

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    def keep(self, matches: Matches) -> Matches:
        """Uses matches with a similarity of at least `theta`."""
        return replace(matches, used=matches.similarity >= self.theta)

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """1 for every used match."""
        return matches.used.double()


@dataclass(frozen=True, kw_only=True, slots=True)
class StableFilter:
    """Keeps cycle-consistent matches, weighted by their cycle error.

    Attributes:
        cycle_mm: maximum cycle error: distance between a point and the match of its match.
        theta: minimum similarity, to reject consistent but wrong matches.
    """

    cycle_mm: PositiveMm = 16.0
    theta: Cosine = 0.4

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    def keep(self, matches: Matches) -> Matches:
        """Uses matches with a small cycle error and sufficient similarity."""
        used = (matches.cycle_mm <= self.cycle_mm) & (matches.similarity >= self.theta)
        return replace(matches, used=used)

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """Similarity times a Gaussian of the cycle error with standard deviation `cycle_mm / 2`."""
        cycle = torch.exp(-0.5 * (matches.cycle_mm.double() / (self.cycle_mm / 2)) ** 2)
        return matches.used * matches.similarity.double().clamp(min=0) * cycle
