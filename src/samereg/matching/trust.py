"""How far to trust a match: its expected error in mm, and whether the other scan shows the place at all."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FARTHEST_MM = 40.0
"""Distances from the border of a scan count up to here."""

LONGEST_CYCLE_MM = 80.0
"""Cycle errors count up to here: beyond, a match is as wrong as can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorModel:
    """Expected distance between a match and the true place, calibrated on validation scans.

    ``e = a (1 - s) + b c``, by non-negative least squares on surface points of organs
    (`recipes/match_confidence.py`), whose error is twice the distance of the match from the organ's surface in the
    other scan: what an error of no preferred direction is on average.

    Attributes:
        per_dissimilarity_mm: ``a``, for one less the similarity ``s``.
        per_cycle: ``b``, for each mm of the cycle error ``c`` (up to `LONGEST_CYCLE_MM`).
    """

    per_dissimilarity_mm: float
    per_cycle: float

    def expected_mm(self, similarity: Float[Tensor, "*n"], cycle_mm: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Expected error of matches.

        Args:
            similarity: mean of local and global cosine, -1 to 1.
            cycle_mm: how far from its start a match is found back.
        """
        return self.per_dissimilarity_mm * (1.0 - similarity) + self.per_cycle * cycle_mm.clamp(max=LONGEST_CYCLE_MM)


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldErrorModel:
    """Expected distance between where a registration puts a place and where it is, calibrated as `ErrorModel`.

    ``e = a (1 - s) + b d``

    Attributes:
        per_dissimilarity_mm: ``a``, for one less the similarity ``s`` of the best place around.
        per_away: ``b``, for each mm ``d`` from where the registration ends to that place.
    """

    per_dissimilarity_mm: float
    per_away: float

    def expected_mm(self, similarity: Float[Tensor, "*n"], away_mm: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Expected error of a registration.

        Args:
            similarity: of the most similar place around where the registration ends, -1 to 1.
            away_mm: distance to that place.
        """
        return self.per_dissimilarity_mm * (1.0 - similarity) + self.per_away * away_mm


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewModel:
    """Whether a place lies outside the other scan's field of view, calibrated on cropped validation scans.

    A logistic regression on how far outside the scan the affine and the coarse map put the place, and on the cycle
    error of its match: beyond a border matches fall on what looks similar within, and are seldom found back.

    Attributes:
        offset: logit where everything else is 0.
        per_affine_mm: for each mm outside by the affine map; less than 0 mm is inside.
        per_coarse_mm: the same by the coarse map.
        per_cycle_mm: for each mm of the cycle error.
        least: logit from which a place is said to be outside; larger says so more seldom.
    """

    offset: float
    per_affine_mm: float
    per_coarse_mm: float
    per_cycle_mm: float
    least: float

    def is_outside(
        self, affine_mm: Float[Tensor, " n"], coarse_mm: Float[Tensor, " n"], cycle_mm: Float[Tensor, " n"]
    ) -> Bool[Tensor, " n"]:
        """Whether each place is outside.

        Args:
            affine_mm: distance outside the scan by the affine map, negative inside.
            coarse_mm: the same by the coarse map.
            cycle_mm: cycle error of the match.
        """
        near_affine, near_coarse = (each.clamp(-FARTHEST_MM, FARTHEST_MM) for each in (affine_mm, coarse_mm))
        logit = self.offset + self.per_affine_mm * near_affine + self.per_coarse_mm * near_coarse
        outside: Tensor = logit + self.per_cycle_mm * cycle_mm.clamp(max=LONGEST_CYCLE_MM) > self.least
        return outside


MATCH_ERROR = ErrorModel(per_dissimilarity_mm=23.0, per_cycle=0.016)
"""Of a match in the whole of the other scan."""

FIELD_ERROR = FieldErrorModel(per_dissimilarity_mm=21.4, per_away=0.06)
"""Of a registration, the best place around found within 24 mm."""

VIEW = ViewModel(offset=-0.192, per_affine_mm=0.0615, per_coarse_mm=0.0972, per_cycle_mm=0.0129, least=-0.27)
"""Says outside of 4 in 100 validation points that are inside, and of 92 in 100 that are not."""


def beyond_mm(
    points_mm: Float[Tensor, "n 3"], low_mm: Float[Tensor, "3"], high_mm: Float[Tensor, "3"]
) -> Float[Tensor, " n"]:
    """How far outside an axis-aligned box points lie, by their worst coordinate; negative inside.

    Args:
        points_mm: world positions.
        low_mm: lowest corner of the box.
        high_mm: highest corner.
    """
    beyond: Tensor = torch.maximum(low_mm - points_mm, points_mm - high_mm).amax(dim=-1)
    return beyond
