"""Which matches to trust: the paper's threshold, and cycle consistency as in SAME++."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.matching.matches import Matches
from samereg.validation import Cosine, PositiveMm, check_ranges


@runtime_checkable
class MatchFilter(Protocol):
    """Decides which matches are used, and how much each counts."""

    def keep(self, matches: Matches) -> Matches:
        """The same matches with `used` decided."""

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """Trust in each match, 0 to 1; 0 where it is not used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdFilter:
    """Keeps matches of high similarity.

    Attributes:
        theta: the paper's threshold. Its 0.7 is also the best of 0.5, 0.6 and 0.7 for the shipped embedding on
            validation scans.
    """

    theta: Cosine = 0.7

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds."""
        check_ranges(self)

    def keep(self, matches: Matches) -> Matches:
        """Matches at least as similar as `theta` are used."""
        return replace(matches, used=matches.similarity >= self.theta)

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """1 for every used match."""
        return matches.used.double()


@dataclass(frozen=True, kw_only=True, slots=True)
class StableFilter:
    """Keeps matches that are found back near where they started, and trusts the nearer ones more.

    Attributes:
        cycle_mm: largest distance between a point and where its match is found back.
        theta: lowest similarity, a safeguard against consistent nonsense.
    """

    cycle_mm: PositiveMm = 16.0
    theta: Cosine = 0.4

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds."""
        check_ranges(self)

    def keep(self, matches: Matches) -> Matches:
        """Matches with a short cycle and some similarity are used."""
        used = (matches.cycle_mm <= self.cycle_mm) & (matches.similarity >= self.theta)
        return replace(matches, used=used)

    def weights(self, matches: Matches) -> Float64[Tensor, " n"]:
        """Similarity times a Gaussian of the cycle error, of deviation `cycle_mm / 2`."""
        cycle = torch.exp(-0.5 * (matches.cycle_mm.double() / (self.cycle_mm / 2)) ** 2)
        return matches.used * matches.similarity.double().clamp(min=0) * cycle
