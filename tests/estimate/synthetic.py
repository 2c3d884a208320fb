"""Matches with known truth: a smooth field of bumps on a chest-sized body, with noise and gross outliers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from samereg.geometry.grid import Grid, axis_aligned_grid, strided, voxel_centres_mm

BODY_RADII_MM = torch.tensor([190.0, 125.0, 260.0], dtype=torch.float64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SyntheticMatches:
    grid: Grid
    fixed_mm: Tensor
    displacement_mm: Tensor
    inside_mm: Tensor
    truth_mm: Tensor


def chest_grid() -> Grid:
    """420 x 290 x 390 mm about the world's origin."""
    return axis_aligned_grid((195, 145, 210), (2.0, 2.0, 2.0), (-210.0, -145.0, -195.0))


def synthetic_matches(
    seed: int, *, noise_mm: float = 4.0, outliers: float = 0.1, amplitude_mm: float = 8.0, keep: float = 0.7
) -> SyntheticMatches:
    """About 4000 matches on a 16 mm grid in the body; displacements of up to about 30 mm.

    Args:
        noise_mm: deviation of the noise along each axis.
        outliers: share of matches thrown off by 40 mm along each axis.
        amplitude_mm: deviation of the bumps' heights.
        keep: share of the grid's points that have a match.
    """
    generator = torch.Generator().manual_seed(seed)
    grid = chest_grid()
    bumps = _Bumps.drawn(generator, amplitude_mm)
    candidates = _in_body(voxel_centres_mm(strided(grid, 8)))
    fixed_mm = candidates[torch.rand(len(candidates), generator=generator) < keep]
    noise = torch.randn(fixed_mm.shape, generator=generator, dtype=torch.float64)
    wild = torch.randn(fixed_mm.shape, generator=generator, dtype=torch.float64)
    is_wild = torch.rand(len(fixed_mm), 1, generator=generator) < outliers
    inside_mm = _in_body(voxel_centres_mm(strided(grid, 7)))
    return SyntheticMatches(
        grid=grid,
        fixed_mm=fixed_mm,
        displacement_mm=bumps.at(fixed_mm) + noise_mm * noise + 40.0 * wild * is_wild,
        inside_mm=inside_mm,
        truth_mm=bumps.at(inside_mm),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Bumps:
    centres_mm: Tensor
    widths_mm: Tensor
    heights_mm: Tensor

    @staticmethod
    def drawn(generator: torch.Generator, amplitude_mm: float, count: int = 60) -> "_Bumps":
        centres = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 2 - 1
        widths = 40.0 + 50.0 * torch.rand(count, 1, generator=generator, dtype=torch.float64)
        heights = torch.randn(count, 3, generator=generator, dtype=torch.float64)
        extent = torch.tensor([210.0, 145.0, 195.0], dtype=torch.float64)
        return _Bumps(centres_mm=centres * extent, widths_mm=widths, heights_mm=heights * amplitude_mm * widths / 90.0)

    def at(self, points_mm: Tensor) -> Tensor:
        squared = torch.cdist(points_mm, self.centres_mm).square()
        return torch.exp(-0.5 * squared / self.widths_mm[:, 0] ** 2) @ self.heights_mm


def _in_body(points_mm: Tensor) -> Tensor:
    flat = points_mm.reshape(-1, 3)
    return flat[((flat / BODY_RADII_MM) ** 2).sum(1) < 1.0]
