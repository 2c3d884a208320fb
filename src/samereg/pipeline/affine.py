"""SAM-affine: an affine map from matches on a grid of points (SAME, section 2.2, eq. 1)."""

import logging
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from samereg.errors import NoOverlapError
from samereg.estimate.affine import Fit, fit_affine, fit_rigid, fit_robust, fit_similarity
from samereg.matching.filters import MatchFilter, StableFilter
from samereg.matching.matches import Matches
from samereg.matching.points import STRIDE_VOX, grid_points
from samereg.matching.search import Search, match
from samereg.matching.stable import stable_points
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
        model: freedom of the map: 12 parameters, 6 (rigid) or 7 (similarity).
        filter: which matches are used.
        stride_vox: spacing of the points (the paper's 8 voxels of 2 mm).
        stable_rounds: rounds in which points wander to stable places first (SAME++); 0 keeps the grid.
        search: how matches are looked for.
        inlier_mm: distance from the map at which a match stops counting as one that agrees; smaller is more robust,
            larger follows the shape of the whole body.
        fewest_matches: fewer used matches than this are no basis for a registration.
        fewest_used: nor is a smaller share of the points of the fixed body.
        agree_mm: matches this near to the map agree with it, as far as one map can tell between two people.
        fewest_agreeing: a smaller share of matches that agree is no basis either.
        seed: of the robust fit's random subsets.
        orientation: how `turns` finds which way round the scans lie; None trusts both headers. `run` takes the pair as
            it is given.
    """

    model: AffineModel = "affine"
    filter: MatchFilter = field(default_factory=StableFilter)
    stride_vox: Count = STRIDE_VOX
    stable_rounds: CountOrZero = 0
    search: Search = field(default_factory=Search)
    inlier_mm: PositiveMm = 12.0
    fewest_matches: CountOrZero = 60
    fewest_used: Fraction = 0.05
    agree_mm: PositiveMm = 30.0
    fewest_agreeing: Fraction = 0.3
    seed: CountOrZero = 0
    orientation: OrientationSearch | None = field(default_factory=OrientationSearch)

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds."""
        check_ranges(self)

    @property
    def name(self) -> str:
        """Word for logs and records."""
        return "affine"

    def turns(self, pair: Pair) -> Turns:
        """How the scans have to be turned before they are given to this stage; each turn is a warning in the log.

        Raises:
            MirroredError: one scan is a mirror image.
        """
        turns = self.orientation.run(pair) if self.orientation else Turns()
        for note in turns.notes:
            _LOG.warning("%s", note)
        return turns

    def run(self, pair: Pair, before: StageResult) -> StageResult:  # noqa: ARG002
        """The map that the matches agree on; what was found before does not matter to it.

        Raises:
            NoOverlapError: too few matches, or too few that agree.
        """
        matches = self.match(pair)
        weights = self.filter.weights(matches)
        used = matches.used
        needed = max(self.fewest_matches, ceil(self.fewest_used * len(matches)))
        if int(used.sum()) < needed:
            raise NoOverlapError(
                f"only {int(used.sum())} of {len(matches)} points of the fixed scan have a trustworthy match in the "
                f"moving scan; at least {needed} are needed: do both show the same anatomy?"
            )
        fit = fit_robust(
            matches.fixed_mm[used],
            matches.moving_mm[used],
            weights=weights[used],
            fit=FITS[self.model],
            inlier_mm=self.inlier_mm,
            seed=self.seed,
        )
        residual_mm = (fit.affine.apply(matches.fixed_mm[used]) - matches.moving_mm[used]).norm(dim=1)
        share = float((residual_mm < self.agree_mm).double().mean())
        if share < self.fewest_agreeing:
            raise NoOverlapError(
                f"only {share:.0%} of {int(used.sum())} matches agree on one {self.model} map; at least "
                f"{self.fewest_agreeing:.0%} are needed: do both scans show the same anatomy?"
            )
        return StageResult(transform=fit.affine, matches=matches, outcome=fit.outcome)

    def match(self, pair: Pair) -> Matches:
        """Filtered matches of a grid of points in the fixed body."""
        points_mm = stable_points(
            pair.fixed.embedded,
            pair.moving.embedded,
            grid_points(pair.fixed.model.grid, body=pair.fixed.body, stride_vox=self.stride_vox),
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
        return self.filter.keep(found)
