"""Alignment of body centroids, for recipes without an affine stage."""

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
    """Translation that aligns the centroids of both bodies.

    The paper's scans are cropped to a common size and share coordinates; other scans may lie
    anywhere, and SAM-coarse alone, which searches near the start, would find no matches.
    """

    name = "centre"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """Appends the translation to the start; no matches."""
        start = before.transform
        shift_mm = centroid_mm(pair.moving) - start.apply(centroid_mm(pair.fixed))
        translation = Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)
        outcome = Outcome(converged=True, message="bodies centred", iterations=1)
        return StageResult(transform=chain(first=start, then=translation), matches=None, outcome=outcome)


def centroid_mm(scan: PreparedScan) -> Float64[Tensor, "3"]:
    """Centroid of the body, world mm."""
    middle: Tensor = voxel_centres_mm(scan.model.grid)[scan.body.cpu()].mean(dim=0)
    return middle
