"""A body on a table, in HU, small enough for unit tests."""

import torch
from torch import Tensor

from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.volume import Volume

AIR_HU, TISSUE_HU, LUNG_HU, TABLE_HU = -1000.0, 40.0, -850.0, 150.0
BODY_RADII_MM = (150.0, 100.0, 400.0)


def patient(grid: Grid, *, centre_mm: Tensor | None = None) -> Volume:
    """A long elliptic body along z with two lungs, lying (back towards +y) on a hollow table; with noise."""
    x, y, z = (voxel_centres_mm(grid) - (grid.centre_mm if centre_mm is None else centre_mm)).unbind(-1)
    hu = torch.full(grid.shape, AIR_HU, dtype=torch.float64)
    table = (y > 102.0) & (y < 142.0) & (x.abs() < 180.0)
    inner = (y > 106.0) & (y < 138.0) & (x.abs() < 176.0)
    hu[table & ~inner] = TABLE_HU
    hu[in_body(x, y)] = TISSUE_HU
    hu[in_lungs(x, y, z)] = LUNG_HU
    noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Volume(data=(hu + 12.0 * noise).round().float()[None], grid=grid)


def in_body(x: Tensor, y: Tensor) -> Tensor:
    return (x / BODY_RADII_MM[0]) ** 2 + (y / BODY_RADII_MM[1]) ** 2 < 1.0


def in_lungs(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return ((x.abs() - 75.0) / 55.0) ** 2 + (y / 75.0) ** 2 + (z / 120.0) ** 2 < 1.0
