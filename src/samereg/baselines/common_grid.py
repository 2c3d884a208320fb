"""Resampling of both scans onto one grid after a rough alignment, for voxel-based programs."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.fields import from_index_field
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.preprocess import to_isotropic
from samereg.image.resample import resample_volume


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CommonGrid:
    """Two scans of the same isotropic grid, in HU.

    Attributes:
        fixed: on the grid that covers it.
        moved: the moving scan resampled through the start.
        start: fixed world to moving world.
    """

    fixed: Volume
    moved: Volume
    start: Affine

    def transform_of(self, field_vox: Float[Tensor, "3 d h w"]) -> Transform:
        """Fixed world to moving world, from displacements in voxels along (d, h, w) from fixed to moved."""
        return chain(from_index_field(field_vox[None], self.fixed.grid), self.start)


def on_common_grid(fixed: Volume, moving: Volume, start: Affine, *, spacing_mm: float) -> CommonGrid:
    """Resamples both scans to isotropic axis-aligned voxels.

    Args:
        fixed: CT in HU, any direction and spacing.
        moving: CT in HU, any direction and spacing.
        start: fixed world to moving world.
        spacing_mm: of the grid.
    """
    target = to_isotropic(fixed, spacing_mm=spacing_mm)
    moved = resample_volume(to_isotropic(moving, spacing_mm=spacing_mm), start, target.grid)
    return CommonGrid(fixed=target, moved=moved, start=start)
