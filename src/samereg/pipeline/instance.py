"""Instance optimisation stage (SAME++): refines the result on the pair itself."""

from dataclasses import dataclass, field

from samereg.estimate.flow import flow_before
from samereg.estimate.instance import InstanceSettings, optimise_velocity
from samereg.geometry.chain import chain
from samereg.matching.reduce import Reduction
from samereg.pipeline.features import aligned_scans
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import StageResult


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceStage:
    """Instance optimisation.

    Attributes:
        settings: levels and weights.
        reduction: dimensions of the compared embeddings.
    """

    settings: InstanceSettings = field(default_factory=InstanceSettings)
    reduction: Reduction = field(default_factory=lambda: Reduction(local=12, global_=4))

    @property
    def name(self) -> str:
        """Name for logs and records."""
        return "instance"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """A diffeomorphic field of the fixed world, followed by the previous transform; no matches."""
        start = before.transform
        scans = aligned_scans(pair, start, reduction=self.reduction)
        body = pair.fixed.body.to(scans.fixed.device)[None].float()
        found = optimise_velocity(scans, body, settings=self.settings)
        step, tamed = flow_before(found.velocity, scans.grid, start, pair.fixed.body)
        outcome = found.outcome if tamed.converged else tamed
        return StageResult(transform=chain(step, start), matches=None, outcome=outcome)
