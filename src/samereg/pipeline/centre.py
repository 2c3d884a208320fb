"""Brings two bodies onto each other's middle, for a recipe that has no affine part."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import voxel_centres_mm
from samereg.pipeline.pair import Pair, PreparedScan
from samereg.pipeline.stage import StageResult


@dataclass(frozen=True, kw_only=True, slots=True)
class CentreStage:
    """A translation that puts the middle of the moving body on that of the fixed one.

    The paper's scans share one coordinate system because all are cropped to one size; scans as they come may lie
    anywhere, and SAM-coarse alone, which looks for matches near where it begins, would find none.
    """

    name = "centre"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """Translate after a start; nothing is matched."""
        start = before.transform
        shift_mm = middle_mm(pair.moving) - start.apply(middle_mm(pair.fixed))
        translation = Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)
        outcome = Outcome(converged=True, message="bodies centred", iterations=1)
        return StageResult(transform=chain(first=start, then=translation), matches=None, outcome=outcome)


def middle_mm(scan: PreparedScan) -> Float64[Tensor, "3"]:
    """Mean position of the voxels of a body, world mm."""
    middle: Tensor = voxel_centres_mm(scan.model.grid)[scan.body.cpu()].mean(dim=0)
    return middle
