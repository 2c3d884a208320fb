"""SAM-coarse: the moved scan is embedded and matched again, and a dense field is fitted to the matches.

SAME, section 2.2, in the pull-back direction: the field maps fixed points to the affinely moved scan.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from samereg.errors import NoOverlapError
from samereg.estimate.coarse import RegularisedFill, fill_linear, fill_regularised
from samereg.estimate.fading import faded_out
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import padded
from samereg.geometry.transform import Transform
from samereg.image.resample import resample_volume
from samereg.matching.embed import EmbeddedVolume
from samereg.matching.filters import MatchFilter, StableFilter
from samereg.matching.landmarks import Landmarks, agreeing
from samereg.matching.matches import Matches
from samereg.matching.points import STRIDE_VOX, grid_points, mask_at
from samereg.matching.search import Search, candidates, match
from samereg.matching.stable import stable_points
from samereg.pipeline.guidance import only_counted
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import StageResult
from samereg.validation import Count, CountOrZero, PositiveMm, Weight, check_ranges

Filler = Literal["regularised", "linear"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CoarseStage:
    """SAM-coarse.

    Attributes:
        filler: `regularised` fits a smooth field without folding; `linear` is the paper's interpolation.
        filter: match filter.
        stride_vox: spacing of the points (the paper's 8 voxels of 2 mm).
        stable_rounds: rounds of moving points to stable positions (SAME++); 0 keeps the grid.
        search: settings of the search.
        fill: settings of the regularised filler in every round but the last.
        last_fill: the same in the last round, whose matches are the most accurate and allow more detail.
        margin_vox: margin of the moved scan around the fixed scan, so that anatomy just outside
            can be matched.
        rounds: number of field fits; the paper uses 1. Each round starts from the previous field,
            so its matches are closer and more accurate.
        reuse: whether the first of several rounds uses the matches of the previous stage, if any, so that only the
            later ones resample, embed and match.
        later_reach_mm: reach of the search in every round but the first.
        min_matches: minimum number of used matches.
        landmark_weight: of each landmark, where the best match has 1: about as many matches as lie within reach of the
            smoothing around it, so that the field follows the landmark. Larger keeps landmarks more exactly.
        guided_reach_mm: reach of the search where landmarks led to what was found before.
    """

    filler: Filler = "regularised"
    filter: MatchFilter = field(default_factory=StableFilter)
    stride_vox: Count = STRIDE_VOX
    stable_rounds: CountOrZero = 0
    search: Search = field(default_factory=lambda: Search(from_origin=True))
    fill: RegularisedFill = field(default_factory=RegularisedFill)
    last_fill: RegularisedFill = field(
        default_factory=lambda: RegularisedFill(smoothing_mm=7.0, lattice_mm=12.0, outlier_mm=8.0)
    )
    margin_vox: CountOrZero = 8
    rounds: Count = 2
    reuse: bool = True
    later_reach_mm: PositiveMm = 40.0
    min_matches: CountOrZero = 60
    landmark_weight: Weight = 100.0
    guided_reach_mm: PositiveMm = 80.0

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    @property
    def name(self) -> str:
        """Name for logs and records."""
        return "coarse"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """A displacement of the fixed world, followed by the previous transform.

        Raises:
            NoOverlapError: too few trustworthy matches.
        """
        so_far = start = before.transform
        earlier = before.matches if self.reuse and self.rounds > 1 else None
        for number in range(self.rounds):
            if number == 0 and earlier is not None:
                matches = earlier
            else:
                matches = self._match(pair, so_far, self._search_of(number, pair.landmarks))
            matches = _trusting(pair.landmarks, matches, start)
            self._refuse_too_few(matches)
            settings = self.last_fill if number == self.rounds - 1 else self.fill
            # One field is fitted to all matches, instead of composing fields, so that the guarantees of the filler
            # hold for the result.
            found, outcome = self._fill(pair, matches, start, settings)
            so_far = chain(found, start)
        return StageResult(transform=chain(faded_out(found), start), matches=matches, outcome=outcome)

    def _search_of(self, number: int, landmarks: Landmarks) -> Search:
        """How matches are looked for in one round."""
        if number:
            return replace(self.search, reach_mm=self.later_reach_mm)
        return replace(self.search, reach_mm=self.guided_reach_mm) if len(landmarks) else self.search

    def _refuse_too_few(self, matches: Matches) -> None:
        used = int(matches.used.sum())
        if used < self.min_matches:
            raise NoOverlapError(
                f"only {used} of {len(matches)} points have a trustworthy match after the affine alignment; "
                f"at least {self.min_matches} are needed"
            )

    def _match(self, pair: Pair, start: Transform, search: Search) -> Matches:
        """Filtered matches of fixed points in the moving world, found in the moving scan resampled through `start`."""
        fixed, stride = pair.fixed, search.stride_vox
        moved = self._moved(pair, start)
        places_mm = grid_points(moved.grid, stride_vox=stride)
        inside = mask_at(pair.moving.counted, pair.moving.model.grid, start.apply(places_mm))
        if not bool(inside.any()):
            raise NoOverlapError("the scans do not overlap at the start of SAM-coarse; need an affine alignment first")
        moving_places = candidates(moved, places_mm[inside])
        points_mm = stable_points(
            fixed.embedded,
            moved,
            grid_points(fixed.model.grid, body=fixed.counted, stride_vox=self.stride_vox),
            places=(fixed.places, moving_places),
            settings=search,
            rounds=self.stable_rounds,
        )
        found = match(
            fixed.embedded,
            moved,
            points_mm,
            fixed_places=fixed.places,
            moving_places=moving_places,
            settings=search,
        )
        return only_counted(pair, self.filter.keep(replace(found, moving_mm=start.apply(found.moving_mm))))

    def _moved(self, pair: Pair, start: Transform) -> EmbeddedVolume:
        margin = (self.margin_vox, self.margin_vox, self.margin_vox)
        grid = padded(pair.fixed.model.grid, margin, margin)
        return pair.embedder.embed(resample_volume(pair.moving.model, start, grid))

    def _fill(
        self, pair: Pair, matches: Matches, start: Transform, settings: RegularisedFill
    ) -> tuple[Displacement, Outcome]:
        """Field that carries fixed points to where `start` takes them to their matches, landmarks among them."""
        used, landmarks, grid = matches.used, pair.landmarks, pair.fixed.model.grid
        fixed_mm = torch.cat([matches.fixed_mm[used], landmarks.fixed_mm])
        displacement_mm = start.inverse().apply(torch.cat([matches.moving_mm[used], landmarks.moving_mm])) - fixed_mm
        if self.filler == "linear":
            filled = fill_linear(fixed_mm, displacement_mm, grid)
            return filled, Outcome(converged=True, message="interpolated", iterations=1)
        trust = torch.full((len(landmarks),), self.landmark_weight, dtype=torch.float64)
        weights = torch.cat([self.filter.weights(matches)[used], trust])
        solved = fill_regularised(fixed_mm, displacement_mm, weights=weights, grid=grid, settings=settings)
        return solved.displacement, solved.outcome


def _trusting(landmarks: Landmarks, matches: Matches, start: Transform) -> Matches:
    """The same matches, those that contradict a landmark no longer used."""
    if not len(landmarks):
        return matches
    back = start.inverse()
    moved = replace(landmarks, moving_mm=back.apply(landmarks.moving_mm))
    fits = agreeing(moved, matches.fixed_mm, back.apply(matches.moving_mm), Affine.identity())
    return replace(matches, used=matches.used & fits)
