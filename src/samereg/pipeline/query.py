"""Point queries: candidate matches of points, their confidence, and whether the other scan shows them."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.geometry.grid import corners_mm
from samereg.geometry.transform import Transform
from samereg.matching.modes import Modes, find_modes
from samereg.matching.search import Search, search
from samereg.matching.trust import MATCH_ERROR, VIEW, ErrorModel, ViewModel, beyond_mm
from samereg.ops.ambient import own_torch
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.orientation import turned_pair, worlds
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import beginning
from samereg.validation import Count, NonNegativeMm, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """Matches of points of the fixed scan in the moving scan; world frame (LPS+), mm.

    Attributes:
        fixed_mm: points of the fixed scan.
        candidates_mm: candidate positions in the moving scan, the most similar first.
        similarity: mean of local and global cosine of each, -1 to 1.
        cycle_mm: cycle error of the best candidate.
        expected_mm: expected error of the best candidate.
        beyond_mm: distance outside the moving scan according to the affine and the coarse map; negative inside.
        outside: whether the moving scan does not show the position; then no candidate is correct.
    """

    fixed_mm: Float64[Tensor, "n 3"]
    candidates_mm: Float64[Tensor, "n k 3"]
    similarity: Float[Tensor, "n k"]
    cycle_mm: Float[Tensor, " n"]
    expected_mm: Float[Tensor, " n"]
    beyond_mm: Float[Tensor, "n 2"]
    outside: Bool[Tensor, " n"]

    @property
    def margin(self) -> Float[Tensor, " n"]:
        """Difference in similarity of the best and second candidate; infinite if there is only one."""
        return Modes(points_mm=self.candidates_mm, similarity=self.similarity).margin


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Settings of point queries.

    Attributes:
        candidates: number of candidates per point.
        apart_mm: minimum distance between two of them.
        search: how each is refined.
        affine: alignment by which positions outside the other scan are detected.
        coarse: its refinement; computes its own matches, as in the calibration of `view`.
        error: error model of a match.
        view: classifier of positions outside.
    """

    candidates: Count = 3
    apart_mm: NonNegativeMm = 32.0
    search: Search = field(default_factory=Search)
    affine: AffineStage = field(default_factory=AffineStage)
    coarse: CoarseStage = field(default_factory=lambda: CoarseStage(reuse=False))
    error: ErrorModel = MATCH_ERROR
    view: ViewModel = VIEW

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    @own_torch()
    def run(self, pair: Pair, points_mm: Float64[Tensor, "n 3"]) -> Answers:
        """Finds points of the fixed scan in the moving scan.

        Args:
            pair: both scans.
            points_mm: points of the fixed scan.

        Raises:
            NoOverlapError: too little common anatomy.
            MirroredError: one scan is a mirror image.
        """
        turns = self.affine.turns(pair)
        to_fixed, to_moving = worlds(pair, turns)
        answers = self._upright(turned_pair(pair, turns), to_fixed.apply(points_mm))
        candidates_mm = to_moving.inverse().apply(answers.candidates_mm)
        return replace(answers, fixed_mm=points_mm, candidates_mm=candidates_mm)

    def _upright(self, pair: Pair, points_mm: Float64[Tensor, "n 3"]) -> Answers:
        first = self.affine.run(pair, beginning())
        return self.within(pair, points_mm, first.transform, self.coarse.run(pair, first).transform)

    def within(self, pair: Pair, points_mm: Float64[Tensor, "n 3"], affine: Transform, coarse: Transform) -> Answers:
        """The same where it is known how the scans lie; takes milliseconds a point.

        Args:
            pair: both scans, the right way round.
            points_mm: points of the fixed scan.
            affine: fixed world to moving world, affinely.
            coarse: the same, with the deformation.
        """
        queries = pair.fixed.embedded.at(points_mm)
        modes = find_modes(
            queries,
            pair.moving.places,
            pair.moving.embedded,
            count=self.candidates,
            apart_mm=self.apart_mm,
            settings=self.search,
        )
        cycle_mm = self._cycle_mm(pair, points_mm, modes.points_mm[:, 0])
        beyond = torch.stack([_beyond_mm(pair, transform, points_mm) for transform in (affine, coarse)], dim=1)
        return Answers(
            fixed_mm=points_mm,
            candidates_mm=modes.points_mm,
            similarity=modes.similarity,
            cycle_mm=cycle_mm,
            expected_mm=self.error.expected_mm(modes.similarity[:, 0], cycle_mm),
            beyond_mm=beyond,
            outside=self.view.is_outside(beyond[:, 0], beyond[:, 1], cycle_mm),
        )

    def _cycle_mm(
        self, pair: Pair, points_mm: Float64[Tensor, "n 3"], found_mm: Float64[Tensor, "n 3"]
    ) -> Float[Tensor, " n"]:
        back = search(
            pair.moving.embedded.at(found_mm),
            found_mm,
            pair.fixed.places,
            pair.fixed.embedded,
            settings=replace(self.search, from_origin=False),
        )
        distance: Tensor = (back.points_mm - points_mm).norm(dim=1).float()
        return distance


def _beyond_mm(pair: Pair, transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Distance of transformed points outside the moving scan."""
    corners = corners_mm(pair.moving.whole)
    low, high = corners.amin(dim=0), corners.amax(dim=0)
    return beyond_mm(transform.apply(points_mm), low, high).to(torch.float32)
