"""Calibrated reliability of matches: expected error in mm, and whether the other scan shows the position."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FARTHEST_MM = 40.0
"""Distances to the border of a scan are clamped to this, mm."""

MAX_CYCLE_MM = 80.0
"""Cycle errors are clamped to this, mm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorModel:
    """Expected distance between a match and the true position, calibrated on validation scans.

    ``e = a (1 - s) + b c``, by non-negative least squares on surface points of organs
    (`recipes/match_confidence.py`), whose error is twice the distance of the match from the organ surface in the
    other scan, which is the mean of an isotropic error.

    Attributes:
        per_dissimilarity_mm: ``a``, factor of one minus the similarity ``s``.
        per_cycle: ``b``, factor of the cycle error ``c`` (clamped to `MAX_CYCLE_MM`).
    """

    per_dissimilarity_mm: float
    per_cycle: float

    def expected_mm(self, similarity: Float[Tensor, "*n"], cycle_mm: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Expected error of matches.

        Args:
            similarity: mean of local and global cosine, -1 to 1.
            cycle_mm: cycle error.
        """
        return self.per_dissimilarity_mm * (1.0 - similarity) + self.per_cycle * cycle_mm.clamp(max=MAX_CYCLE_MM)


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldErrorModel:
    """Expected error of a registration at a position, calibrated as `ErrorModel`.

    ``e = a (1 - s) + b d``

    Attributes:
        per_dissimilarity_mm: ``a``, factor of one minus the similarity ``s`` of the best position nearby.
        per_distance: ``b``, factor of the distance ``d`` of the transformed point to that position.
    """

    per_dissimilarity_mm: float
    per_distance: float

    def expected_mm(self, similarity: Float[Tensor, "*n"], away_mm: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Expected error of a registration.

        Args:
            similarity: of the most similar position near the transformed point, -1 to 1.
            away_mm: distance to that position.
        """
        return self.per_dissimilarity_mm * (1.0 - similarity) + self.per_distance * away_mm


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewModel:
    """Classifier of positions outside the other scan's field of view, calibrated on cropped validation scans.

    Logistic regression on the distance outside the scan according to the affine and coarse maps, and on the cycle
    error: positions outside match similar anatomy inside, which rarely matches back.

    Attributes:
        offset: intercept of the logit.
        per_affine_mm: coefficient of the distance outside according to the affine map; negative inside.
        per_coarse_mm: the same for the coarse map.
        per_cycle_mm: coefficient of the cycle error.
        least: minimum logit of positions classified as outside.
    """

    offset: float
    per_affine_mm: float
    per_coarse_mm: float
    per_cycle_mm: float
    least: float

    def is_outside(
        self, affine_mm: Float[Tensor, " n"], coarse_mm: Float[Tensor, " n"], cycle_mm: Float[Tensor, " n"]
    ) -> Bool[Tensor, " n"]:
        """Whether each position is outside.

        Args:
            affine_mm: distance outside the scan according to the affine map, negative inside.
            coarse_mm: the same for the coarse map.
            cycle_mm: cycle error of the match.
        """
        near_affine, near_coarse = (each.clamp(-FARTHEST_MM, FARTHEST_MM) for each in (affine_mm, coarse_mm))
        logit = self.offset + self.per_affine_mm * near_affine + self.per_coarse_mm * near_coarse
        outside: Tensor = logit + self.per_cycle_mm * cycle_mm.clamp(max=MAX_CYCLE_MM) > self.least
        return outside


MATCH_ERROR = ErrorModel(per_dissimilarity_mm=23.0, per_cycle=0.016)
"""For matches searched in the whole other scan."""

FIELD_ERROR = FieldErrorModel(per_dissimilarity_mm=21.4, per_distance=0.06)
"""For registrations, with the best position searched within 24 mm."""

VIEW = ViewModel(offset=-0.192, per_affine_mm=0.0615, per_coarse_mm=0.0972, per_cycle_mm=0.0129, least=-0.27)
"""Classifies 4 % of the validation points inside and 92 % of those outside as outside."""


def beyond_mm(
    points_mm: Float[Tensor, "n 3"], low_mm: Float[Tensor, "3"], high_mm: Float[Tensor, "3"]
) -> Float[Tensor, " n"]:
    """Distance of points outside an axis-aligned box, maximum over the axes; negative inside.

    Args:
        points_mm: world positions.
        low_mm: lowest corner of the box.
        high_mm: highest corner.
    """
    beyond: Tensor = torch.maximum(low_mm - points_mm, points_mm - high_mm).amax(dim=-1)
    return beyond
