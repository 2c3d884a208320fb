"""Expected error of a registration in mm, over the body of the fixed scan."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.matching.points import grid_points, lattice_of
from samereg.matching.search import Search, search
from samereg.matching.trust import FIELD_ERROR, FieldErrorModel
from samereg.ops.ambient import own_torch
from samereg.ops.filters import gaussian_smooth
from samereg.pipeline.orientation import Turns, between, turned_pair, worlds
from samereg.pipeline.pair import Pair
from samereg.validation import Count, check_ranges

UNKNOWN_MM = -1.0
"""Value outside the body."""

SMOOTHED_CELLS = 1.0
"""Standard deviation of the smoothing of point estimates."""


@own_torch()
def confidence_of(stored: Pair, transform: Transform, turns: Turns | None = None) -> Volume:
    """Expected error of a registration on the fixed scan's own grid, mm; see `Confidence`.

    Args:
        stored: both prepared scans, in their stored orientation.
        transform: fixed world to moving world.
        turns: corrections of wrong orientations in the headers.
    """
    turns = turns or Turns()
    to_fixed, to_moving = worlds(stored, turns)
    upright = between(to_fixed.inverse(), transform, to_moving)
    own = stored.fixed.volume.grid
    grid = Grid(shape=own.shape, affine=to_fixed.matrix @ own.affine)
    return replace(Confidence().volume(turned_pair(stored, turns), upright, grid), grid=own)


@own_torch()
def expected_errors_mm(
    stored: Pair, transform: Transform, turns: Turns | None, points_mm: Float64[Tensor, "n 3"]
) -> Float[Tensor, " n"]:
    """Expected error of a registration at points of the fixed scan, mm; arguments as of `confidence_of`."""
    turns = turns or Turns()
    to_fixed, to_moving = worlds(stored, turns)
    upright = between(to_fixed.inverse(), transform, to_moving)
    return Confidence().at(turned_pair(stored, turns), upright, to_fixed.apply(points_mm)).cpu()


@dataclass(frozen=True, kw_only=True, slots=True)
class Confidence:
    """Confidence of a registration at each position.

    The embedding is searched around the transformed position: where the best match is elsewhere, or
    nothing is similar, the expected error is large.

    Attributes:
        stride_vox: spacing of the evaluated points, in voxels of model space.
        search: settings of the search around each position.
        model: calibrated error model.
    """

    stride_vox: Count = 6
    search: Search = field(default_factory=lambda: Search(reach_mm=24.0, from_origin=True))
    model: FieldErrorModel = FIELD_ERROR

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    def at(self, pair: Pair, transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Expected error of a transform at points of the fixed scan, mm.

        Args:
            pair: both scans.
            transform: fixed world to moving world.
            points_mm: fixed-world positions.
        """
        landed_mm = transform.apply(points_mm)
        queries = pair.fixed.embedded.at(points_mm)
        found = search(queries, landed_mm, pair.moving.places, pair.moving.embedded, settings=self.search)
        away_mm = (found.points_mm - landed_mm).norm(dim=1).float()
        return self.model.expected_mm(found.similarity.float(), away_mm)

    def volume(self, pair: Pair, transform: Transform, grid: Grid) -> Volume:
        """Expected error on a grid of the fixed world, mm; `UNKNOWN_MM` outside the body.

        Args:
            pair: both scans.
            transform: fixed world to moving world.
            grid: of the result.
        """
        lattice = lattice_of(pair.fixed.model.grid, self.stride_vox)
        points_mm = grid_points(pair.fixed.model.grid, body=pair.fixed.body, stride_vox=self.stride_vox)
        index = lattice.to_index(points_mm).round().long()
        known = torch.zeros(2, 1, *lattice.shape)
        known[0, 0, *index.T] = self.at(pair, transform, points_mm).cpu()
        known[1, 0, *index.T] = 1.0
        sums = gaussian_smooth(known, (SMOOTHED_CELLS,) * 3)
        smooth = sums[0] / sums[1].clamp(min=torch.finfo(sums.dtype).eps)
        error = resample_volume(Volume(data=smooth, grid=lattice, background=0.0), Affine.identity(), grid)
        body = Volume(data=pair.fixed.body[None].float().cpu(), grid=pair.fixed.model.grid, background=0.0)
        inside = resample_volume(body, Affine.identity(), grid, mode="nearest").data > 0
        data = torch.where(inside, error.data, UNKNOWN_MM)
        return Volume(data=data, grid=grid, background=UNKNOWN_MM, stored_dtype="float32")
