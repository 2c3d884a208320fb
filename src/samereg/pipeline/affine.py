"""SAM-affine: an affine map from matches on a grid of points (SAME, section 2.2, eq. 1)."""

import logging
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import NoOverlapError
from samereg.estimate.affine import Fit, fit_affine, fit_rigid, fit_robust, fit_similarity
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.matching.filters import MatchFilter, StableFilter
from samereg.matching.landmarks import agreeing
from samereg.matching.matches import Matches
from samereg.matching.points import STRIDE_VOX, grid_points
from samereg.matching.search import Search, match
from samereg.matching.stable import stable_points
from samereg.pipeline.guidance import only_counted, rough_map
from samereg.pipeline.orientation import OrientationSearch, Turns
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import StageResult
from samereg.validation import Count, CountOrZero, Fraction, PositiveMm, check_ranges

_LOG = logging.getLogger(__name__)

AffineModel = Literal["affine", "rigid", "similarity"]

FITS: dict[AffineModel, Fit] = {"affine": fit_affine, "rigid": fit_rigid, "similarity": fit_similarity}


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineStage:
    """SAM-affine.

    Attributes:
        model: affine (12 parameters), rigid (6) or similarity (7).
        filter: match filter.
        stride_vox: spacing of the points (the paper's 8 voxels of 2 mm).
        stable_rounds: rounds of moving points to stable positions (SAME++); 0 keeps the grid.
        search: settings of the search.
        inlier_mm: inlier distance of the robust fit; smaller is more robust,
            larger fits the shape of the whole body.
        min_matches: minimum number of used matches.
        min_used_fraction: minimum fraction of the points of the fixed body with a used match.
        agree_mm: maximum distance from the map of matches that agree with it, given anatomical variation.
        min_agreeing_fraction: minimum fraction of matches that agree.
        landmark_share: weight of a landmark as a share of that of all matches together; all landmarks together weigh as
            much as all matches at most. Larger follows the landmarks more than the rest of the body.
        seed: of the random subsets of the robust fit.
        orientation: settings of the orientation search in `turns`; None trusts both headers. `run` uses the pair as
            given.
    """

    model: AffineModel = "affine"
    filter: MatchFilter = field(default_factory=StableFilter)
    stride_vox: Count = STRIDE_VOX
    stable_rounds: CountOrZero = 0
    search: Search = field(default_factory=Search)
    inlier_mm: PositiveMm = 12.0
    min_matches: CountOrZero = 60
    min_used_fraction: Fraction = 0.05
    agree_mm: PositiveMm = 30.0
    min_agreeing_fraction: Fraction = 0.3
    landmark_share: Fraction = 0.33
    seed: CountOrZero = 0
    orientation: OrientationSearch | None = field(default_factory=OrientationSearch)

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    @property
    def name(self) -> str:
        """Name for logs and records."""
        return "affine"

    def turns(self, pair: Pair) -> Turns:
        """Rotations to apply to the scans before this stage; each is logged as a warning.

        Raises:
            MirroredError: one scan is a mirror image.
        """
        turns = self.orientation.run(pair) if self.orientation else Turns()
        for note in turns.notes:
            _LOG.warning("%s", note)
        return turns

    def run(self, pair: Pair, before: StageResult) -> StageResult:  # noqa: ARG002
        """The map that the matches and landmarks agree on; what was found before does not matter to it.

        Raises:
            NoOverlapError: too few matches, or too few that agree, and no landmarks that give a rigid map.
        """
        matches = self.match(pair)
        if len(pair.landmarks):
            around = rough_map(pair.landmarks)
            fits = agreeing(pair.landmarks, matches.fixed_mm, matches.moving_mm, around)
            matches = replace(matches, used=matches.used & fits)
        needed = max(self.min_matches, ceil(self.min_used_fraction * len(matches)))
        if int(matches.used.sum()) >= needed:
            return self._fitted(pair, matches)
        if pair.landmarks.give_a_rotation:
            outcome = Outcome(converged=True, message="too few matches: a rigid map of the landmarks", iterations=1)
            return StageResult(transform=rough_map(pair.landmarks), matches=None, outcome=outcome)
        raise NoOverlapError(
            f"only {int(matches.used.sum())} of {len(matches)} points of the fixed scan have a trustworthy match in "
            f"the moving scan; at least {needed} are needed: do both show the same anatomy?"
        )

    def _fitted(self, pair: Pair, matches: Matches) -> StageResult:
        """The robust fit; landmarks that give a rigid map decide, however few matches agree."""
        used, landmarks = matches.used, pair.landmarks
        weights = self.filter.weights(matches)[used]
        trust = torch.full((len(landmarks),), self._landmark_weight(weights, len(landmarks)), dtype=torch.float64)
        fit = fit_robust(
            torch.cat([matches.fixed_mm[used], landmarks.fixed_mm]),
            torch.cat([matches.moving_mm[used], landmarks.moving_mm]),
            weights=torch.cat([weights, trust]),
            fit=FITS[self.model],
            inlier_mm=self.inlier_mm,
            seed=self.seed,
        )
        if not landmarks.give_a_rotation:
            self._refuse_disagreement(fit.affine, matches)
        return StageResult(transform=fit.affine, matches=matches, outcome=fit.outcome)

    def _landmark_weight(self, weights: Float64[Tensor, " n"], count: int) -> float:
        """Weight of each landmark: `landmark_share` of all matches, together that of all at most."""
        return float(weights.sum()) * min(self.landmark_share, 1.0 / max(1, count))

    def _refuse_disagreement(self, affine: Affine, matches: Matches) -> None:
        used = matches.used
        residual_mm = (affine.apply(matches.fixed_mm[used]) - matches.moving_mm[used]).norm(dim=1)
        share = float((residual_mm < self.agree_mm).double().mean())
        if share < self.min_agreeing_fraction:
            raise NoOverlapError(
                f"only {share:.0%} of {int(used.sum())} matches agree on one {self.model} map; at least "
                f"{self.min_agreeing_fraction:.0%} are needed: do both scans show the same anatomy?"
            )

    def match(self, pair: Pair) -> Matches:
        """Filtered matches of a grid of points in the fixed body."""
        points_mm = stable_points(
            pair.fixed.embedded,
            pair.moving.embedded,
            grid_points(pair.fixed.model.grid, body=pair.fixed.counted, stride_vox=self.stride_vox),
            places=(pair.fixed.places, pair.moving.places),
            settings=self.search,
            rounds=self.stable_rounds,
        )
        found = match(
            pair.fixed.embedded,
            pair.moving.embedded,
            points_mm,
            fixed_places=pair.fixed.places,
            moving_places=pair.moving.places,
            settings=self.search,
        )
        return only_counted(pair, self.filter.keep(found))
