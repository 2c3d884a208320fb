"""DEEDS: dense displacement sampling on a grid of blocks, smooth along a minimum spanning tree."""

from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from samereg._version import __version__
from samereg.baselines.blocks import Search, as_field, descriptor_words, displacement_costs, in_parallel
from samereg.baselines.common_grid import on_common_grid
from samereg.baselines.compiling import Words, compiler_version
from samereg.baselines.lattice import Lattice, consistent_pair
from samereg.baselines.method import AffineMethod
from samereg.baselines.mind_affine import MindAffine
from samereg.baselines.tree import smoothest, spanning_tree
from samereg.errors import GeometryError
from samereg.geometry.chain import chain
from samereg.geometry.fields import from_index_field
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.ops.sample import warp

NAME = "deeds"

LEVELS = tuple(
    Search(spacing=spacing, radius=radius, step=step, patch=patch)
    for spacing, radius, step, patch in ((8, 8, 5, 3), (7, 7, 4, 3), (6, 6, 3, 2), (5, 5, 2, 2), (4, 4, 1, 1))
)
"""Blocks of 16 to 8 mm with search ranges of 80 to 8 mm (defaults of Heinrich et al., VISCERAL 2015)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deeds:
    """Discrete deformable registration (Heinrich et al., TMI 2013; on a tree: MICCAI 2012; MIND-SSC: MICCAI 2013).

    Attributes:
        affine: initial affine method.
        spacing_mm: voxel size of blocks and displacements.
        levels: from coarse to fine; each starts from the previous fields.
        smoothness: ``alpha``; larger is smoother.
        rounds: iterations of making both directions of a level inverse to each other.
    """

    affine: AffineMethod = field(default_factory=MindAffine)
    spacing_mm: float = 2.0
    levels: tuple[Search, ...] = LEVELS
    smoothness: float = 1.6
    rounds: int = 10

    @property
    def name(self) -> str:
        """Name in tables."""
        return NAME

    def version(self) -> str:
        """Releases of samereg and of its compiler; errors as in `register`."""
        return f"samereg {__version__}, {compiler_version(NAME)}"

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement field at block centres, then the affine map; fixed world to moving world.

        Raises:
            MissingPackageError: numba is not installed.
            InputError: a scan shows no body.
            DegeneratePointsError: too few inlier blocks for an affine map.
            GeometryError: a scan smaller than a block.
        """
        pair = on_common_grid(fixed, moving, self.affine.register(fixed, moving), spacing_mm=self.spacing_mm)
        self._refuse_small(pair.fixed.grid)
        forward, lattice = self._deformed(pair.fixed.data[0], pair.moved.data[0])
        return chain(_on_blocks(forward, lattice, pair.fixed.grid), pair.start)

    def _deformed(
        self, fixed: Float[Tensor, "d h w"], moving: Float[Tensor, "d h w"]
    ) -> tuple[Float[Tensor, "3 d2 h2 w2"], Lattice]:
        """Displacements at the blocks of the last level, voxels, and these blocks."""
        shape = (fixed.shape[0], fixed.shape[1], fixed.shape[2])
        lattice = Lattice(shape=shape, spacing=self.levels[0].spacing)
        forward = backward = torch.zeros(3, *lattice.blocks)
        words: dict[int, tuple[Words, Words]] = {}
        for search in self.levels:
            if search.patch not in words:
                words = {search.patch: in_parallel(partial(descriptor_words, patch=search.patch), fixed, moving)}
            finer = Lattice(shape=shape, spacing=search.spacing)
            starts = [lattice.at_middles_of(finer, u) for u in (forward, backward)]
            work = partial(self._displaced, lattice=finer, search=search)
            forth = _Direction(fixed=fixed, words=words[search.patch][0], moving=moving, start=starts[0])
            back = _Direction(fixed=moving, words=words[search.patch][1], moving=fixed, start=starts[1])
            forward, backward = consistent_pair(*in_parallel(work, forth, back), finer, rounds=self.rounds)
            lattice = finer
        return forward, lattice

    def _displaced(self, direction: "_Direction", *, lattice: Lattice, search: Search) -> Float[Tensor, "3 d h w"]:
        """The start and the displacements of one level, in one direction."""
        warped = warp(direction.moving[None, None], lattice.at_voxels(direction.start)[None], clamp=True)[0, 0]
        costs = displacement_costs(direction.words, descriptor_words(warped, patch=search.patch), search)
        # The bits count step / 2 times beside alpha |u_p - u_q|^2 / |x_p - x_q|; all of it in steps, over step / 2.
        weight = 2.0 * self.smoothness * search.step / search.spacing
        steps_so_far = (direction.start / search.step).flatten(1).T.numpy()
        chosen = smoothest(costs, spanning_tree(direction.fixed, lattice), steps_so_far, weight=weight)
        return direction.start + as_field(chosen, search, lattice)

    def _refuse_small(self, grid: Grid) -> None:
        largest = max(search.spacing for search in self.levels)
        if min(grid.shape) < largest:
            raise GeometryError(
                f"the fixed scan has {grid.shape} voxels of {self.spacing_mm} mm; need {largest} along each axis"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Direction:
    """One direction of a level: image and descriptors of the blocks, the image to search, initial displacements."""

    fixed: Float[Tensor, "d h w"]
    words: Words
    moving: Float[Tensor, "d h w"]
    start: Float[Tensor, "3 d2 h2 w2"]


def _on_blocks(field_vox: Float[Tensor, "3 d h w"], lattice: Lattice, grid: Grid) -> Transform:
    """World displacement from a field in voxels, extended by one block on each side."""
    wider = torch.nn.functional.pad(field_vox[None], (1,) * 6, mode="replicate")
    affine = grid.affine.clone()
    affine[:3, :3] *= lattice.spacing
    affine[:3, 3] = grid.to_world(lattice.first_middle - lattice.spacing)
    shape = (wider.shape[2], wider.shape[3], wider.shape[4])
    return from_index_field(wider / lattice.spacing, Grid(shape=shape, affine=affine))
