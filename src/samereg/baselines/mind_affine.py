"""MIND-affine: block matching by MIND-SSC, and a robust affine fit."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg._version import __version__
from samereg.baselines.blocks import Search, as_field, descriptor_words, displacement_costs, in_parallel
from samereg.baselines.compiling import Words, compiler_version
from samereg.baselines.lattice import Lattice
from samereg.baselines.simple import CentreOfMass
from samereg.estimate.affine import fit_affine
from samereg.geometry.affine import Affine
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import to_isotropic
from samereg.image.resample import resample_volume
from samereg.matching.points import mask_at

NAME = "mind-affine"

MAX_TRIMMINGS = 50


class AffineLevel(NamedTuple):
    """One level of block matching: voxel size in mm, and search range."""

    spacing_mm: float
    search: Search


LEVELS = (
    AffineLevel(4.0, Search(spacing=5, radius=10, step=3, patch=2)),
    AffineLevel(4.0, Search(spacing=5, radius=7, step=2, patch=1)),
    AffineLevel(4.0, Search(spacing=4, radius=6, step=1, patch=1)),
    AffineLevel(4.0, Search(spacing=4, radius=4, step=1, patch=1)),
)
"""Levels with search ranges of 120, 56, 24 and 16 mm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MindAffine:
    """Affine registration by block matching of MIND-SSC (the linear stage of Heinrich et al., VISCERAL 2015).

    At every level, each block of the fixed scan is matched to the moving scan as aligned so far, and vice versa;
    the least trimmed squares fit to both sets of matches gives the
    next map.

    Attributes:
        levels: from coarse to fine.
        kept: fraction of matches kept by the fit; smaller tolerates more outliers and needs more matches.
        start: initial alignment.
    """

    levels: tuple[AffineLevel, ...] = LEVELS
    kept: float = 0.5
    start: CentreOfMass = field(default_factory=CentreOfMass)

    @property
    def name(self) -> str:
        """Name in tables."""
        return NAME

    def version(self) -> str:
        """Releases of samereg and of its compiler; errors as in `register`."""
        return f"samereg {__version__}, {compiler_version(NAME)}"

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """Affine map, fixed world to moving world.

        Raises:
            MissingPackageError: numba is not installed.
            InputError: a scan shows no body.
            DegeneratePointsError: too few inlier blocks.
        """
        affine = self.start.register(fixed, moving)
        sizes = {level.spacing_mm for level in self.levels}
        scans = {mm: (_Scan.of(fixed, mm), _Scan.of(moving, mm)) for mm in sizes}
        for level in self.levels:
            matches = block_matches(*scans[level.spacing_mm], affine, level.search)
            affine = fit_trimmed(*matches, kept=self.kept)
        return affine


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Scan:
    """A scan at the voxel size of a level, and its body mask."""

    volume: Volume
    body: Bool[Tensor, "d h w"]

    @staticmethod
    def of(volume: Volume, spacing_mm: float) -> "_Scan":
        isotropic = to_isotropic(volume, spacing_mm=spacing_mm)
        return _Scan(volume=isotropic, body=body_mask(isotropic))


def block_matches(
    fixed: _Scan, moving: _Scan, affine: Affine, search: Search
) -> tuple[Float64[Tensor, "n 3"], Float64[Tensor, "n 3"]]:
    """Matches in mm of the blocks of either scan that lie in the body and match inside the other scan.

    Args:
        fixed: from `_Scan.of`.
        moving: from `_Scan.of`.
        affine: current alignment, fixed world to moving world.
        search: blocks and displacements.
    """
    grid = fixed.volume.grid
    moved = resample_volume(moving.volume, affine, grid)
    one, other = (descriptor_words(volume.data[0], patch=search.patch) for volume in (fixed.volume, moved))
    lattice = Lattice(shape=grid.shape, spacing=search.spacing)
    here = grid.to_world(lattice.middles().reshape(-1, 3))

    def matched(pair: tuple[Words, Words]) -> Float64[Tensor, "n 3"]:
        return grid.to_world(_best_places(*pair, lattice, search))

    there = in_parallel(matched, (one, other), (other, one))
    forward = _in_body(fixed, here) & moving.volume.grid.contains(affine.apply(there[0]))
    backward = _in_body(moving, affine.apply(here)) & grid.contains(there[1])
    fixed_mm = torch.cat([here[forward], there[1][backward]])
    moving_mm = affine.apply(torch.cat([there[0][forward], here[backward]]))
    return fixed_mm, moving_mm


def fit_trimmed(fixed_mm: Float64[Tensor, "n 3"], moving_mm: Float64[Tensor, "n 3"], *, kept: float) -> Affine:
    """Least trimmed squares: affine fit to the fraction of matches with the smallest residuals (Rousseeuw, 1984).

    Alternates between fit and selection, starting from all matches, until the selection is stable.

    Args:
        fixed_mm: points in the fixed world.
        moving_mm: their matches in the moving world.
        kept: fraction, above 0 up to 1.

    Raises:
        DegeneratePointsError: see `fit_affine`.
    """
    count = round(kept * len(fixed_mm))
    weights = torch.ones(len(fixed_mm), dtype=torch.float64)
    for _ in range(MAX_TRIMMINGS):
        affine = fit_affine(fixed_mm, moving_mm, weights=weights)
        distances = (affine.apply(fixed_mm) - moving_mm).norm(dim=1)
        chosen = torch.zeros_like(weights)
        chosen[distances.argsort(stable=True)[:count]] = 1.0
        if torch.equal(chosen, weights):
            break
        weights = chosen
    return affine


def _in_body(scan: _Scan, points_mm: Float64[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    return mask_at(scan.body, scan.volume.grid, points_mm)


def _best_places(blocks: Words, image: Words, lattice: Lattice, search: Search) -> Float[Tensor, "n 3"]:
    """Best match of each block, voxels; its own position in case of ties."""
    costs = displacement_costs(blocks, image, search)
    best = costs.argmin(1)
    middle = costs.shape[1] // 2
    best[costs[:, middle] <= costs.min(1)] = middle
    steps = np.stack(np.unravel_index(best, (search.side,) * 3), 1).astype(np.int32)
    return (lattice.middles() + as_field(steps, search, lattice).movedim(0, -1)).reshape(-1, 3)
