"""Scans as the page's viewers take them: Hounsfield units as 16-bit numbers on an axis-aligned grid."""

from dataclasses import dataclass, field
from math import ceil

import torch

from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.preprocess import to_isotropic
from samereg.image.resample import resample_volume

MOST_VOXELS = 24_000_000
"""A scan of more is shown coarser: 48 MB go to the browser at most."""

COARSEST_STEP_MM = 0.25


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownScan:
    """One scan for the viewers.

    Attributes:
        name: what the page calls it.
        version: tells it from an earlier one of the same name.
        grid: axis-aligned, LPS, one spacing.
        voxels: little-endian 16-bit HU, x fastest.
    """

    name: str
    version: int
    grid: Grid
    voxels: bytes = field(repr=False)

    def about(self) -> dict[str, object]:
        """What the browser needs to know before it loads the voxels; axes in the order x, y, z."""
        return {
            "name": self.name,
            "version": self.version,
            "size": list(self.grid.shape[::-1]),
            "spacing_mm": self.grid.spacing_mm[0],
            "origin_mm": self.grid.origin_mm.tolist(),
        }


def shown_scan(volume: Volume, *, name: str, version: int = 1) -> ShownScan:
    """A scan at its own finest spacing, or coarser if it is large."""
    spacing_mm = max(min(volume.grid.spacing_mm), _needed_mm(volume.grid))
    isotropic = to_isotropic(volume, spacing_mm=spacing_mm)
    return ShownScan(name=name, version=version, grid=isotropic.grid, voxels=_voxels(isotropic))


def shown_moved(moving: Volume, transform: Transform, fixed: ShownScan, *, version: int) -> ShownScan:
    """The moving scan on the grid of the fixed scan as shown."""
    moved = resample_volume(moving, transform, fixed.grid)
    return ShownScan(name="moved", version=version, grid=fixed.grid, voxels=_voxels(moved))


def _needed_mm(grid: Grid) -> float:
    d, h, w = grid.extent_mm
    needed: float = (d * h * w / MOST_VOXELS) ** (1.0 / 3.0)
    return ceil(needed / COARSEST_STEP_MM) * COARSEST_STEP_MM if needed > min(grid.spacing_mm) else 0.0


def _voxels(volume: Volume) -> bytes:
    rounded = volume.data[0].float().round().clamp(-32768, 32767).to(torch.int16)
    return rounded.contiguous().numpy().astype("<i2", copy=False).tobytes()
