"""ConvexAdam with MIND features, by the package convexAdam."""

from dataclasses import dataclass, field

import torch

from samereg.baselines.common_grid import on_common_grid
from samereg.baselines.method import AffineMethod, needed_package, package_version
from samereg.baselines.mind_affine import MindAffine
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume

DISTRIBUTION = "convexAdam"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvexAdam:
    """Coupled convex optimisation, then Adam (Siebert et al., Learn2Reg 2021), with the package's own defaults.

    Attributes:
        affine: initial affine method.
        spacing_mm: of the common grid.
    """

    affine: AffineMethod = field(default_factory=MindAffine)
    spacing_mm: float = 2.0

    @property
    def name(self) -> str:
        """Name in tables."""
        return "convex-adam"

    def version(self) -> str:
        """Release of convexAdam; errors as in `register`."""
        return package_version("convexAdam", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement, then the affine map; fixed world to moving world.

        Raises:
            MissingPackageError: convexAdam, or what the affine stage needs, is not installed.
        """
        program = needed_package("convexAdam.convex_adam_MIND", self.name)
        pair = on_common_grid(fixed, moving, self.affine.register(fixed, moving), spacing_mm=self.spacing_mm)
        found = program.convex_adam_pt(pair.fixed.data[0], pair.moved.data[0], device=torch.device("cpu"))
        return pair.transform_of(torch.as_tensor(found).float().movedim(-1, 0))
