"""SAM-VoxelMorph stage: the predicted fine field, composed with the start (SAME, section 2.3)."""

from dataclasses import dataclass, field

from samereg.estimate.deform import Deformer
from samereg.estimate.flow import faded, flow_of
from samereg.estimate.outcome import Outcome
from samereg.geometry.chain import chain
from samereg.matching.reduce import Reduction
from samereg.pipeline.features import aligned_scans
from samereg.pipeline.guidance import continued
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import StageResult
from samereg.validation import Count, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformStage:
    """SAM-VoxelMorph.

    Attributes:
        deformer: the trained network.
        passes: number of predictions, each after resampling the scan; the paper uses 1.
        reduction: dimensions of the embeddings in the correlation.
    """

    deformer: Deformer
    passes: Count = 1
    reduction: Reduction = field(default_factory=Reduction)

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)

    @property
    def name(self) -> str:
        """Name for logs and records."""
        return "deform"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """A fine field of the fixed world, followed by the previous transform; no matches."""
        transform = before.transform
        outcome = Outcome(converged=True, message="predicted", iterations=self.passes)
        for _ in range(self.passes):
            scans = aligned_scans(pair, transform, reduction=self.reduction)
            predicted = continued(self.deformer.predict(scans), pair, scans.seen)
            if self.deformer.record.header.form == "velocity":
                step, outcome = flow_of(predicted, scans.grid)
                transform = chain(step, transform)
            else:
                transform = chain(faded(predicted, scans.grid), transform)
        return StageResult(transform=transform, matches=None, outcome=outcome)
