"""Costs of block displacements from the descriptors of two images on one grid; index units."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor

from samereg.baselines import kernels
from samereg.baselines.compiling import LANES, Words
from samereg.baselines.lattice import Lattice
from samereg.ops.mind import self_similarity_context

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Search range of displacements: ``{-radius, ..., radius}^3`` steps.

    Attributes:
        spacing: of the blocks, voxels; larger is smoother.
        radius: maximum displacement along an axis, steps.
        step: voxels per step.
        patch: radius of the descriptors, voxels.
    """

    spacing: int
    radius: int
    step: int
    patch: int

    @property
    def side(self) -> int:
        """Number of displacements along an axis."""
        return 2 * self.radius + 1


def in_parallel(work: Callable[[T], R], one: T, other: T) -> tuple[R, R]:
    """Applies a function to two arguments, in parallel if torch may use two threads."""
    with ThreadPoolExecutor(max_workers=min(2, torch.get_num_threads())) as workers:
        first, second = workers.map(work, (one, other))
    return first, second


def descriptor_words(image: Float[Tensor, "d h w"], *, patch: int) -> Words:
    """MIND-SSC of every voxel in 60 of 64 bits (Heinrich et al., MICCAI 2013)."""
    context = self_similarity_context(image.float(), radius=patch)
    return kernels.words_of(context.numpy())


def displacement_costs(fixed: Words, moving: Words, search: Search) -> Float32[np.ndarray, "blocks displacements"]:
    """Mean number of differing bits, 0 to 60, of each block at each displacement.

    Blocks larger than four voxels per axis are sampled at every second voxel. The border of the moving image
    is replicated.

    Args:
        fixed: words of the image with the blocks.
        moving: words of the other image, on the same grid.
        search: blocks and displacements.
    """
    depth, height, width = fixed.shape
    lattice = Lattice(shape=(depth, height, width), spacing=search.spacing)
    reach = search.radius * search.step
    around = -(-reach // search.spacing) * search.spacing
    columns = -(-lattice.blocks[2] // LANES) * LANES
    costs = np.empty((int(np.prod(lattice.blocks)), search.side**3), np.float32)
    kernels.block_costs(
        _by_phase(fixed, lattice, (0, 0, 0), columns),
        _by_phase(moving, lattice, (reach, reach, around), columns + 2 * around // search.spacing),
        costs,
        lattice.blocks,
        (search.spacing, search.radius, search.step, around),
    )
    return costs


def _by_phase(words: Words, lattice: Lattice, border: tuple[int, int, int], columns: int) -> Words:
    """The blocks' voxels and a border around them, (d, h, spacing, columns): remainder and quotient along w."""
    spacing = lattice.spacing
    lows = [first - more for first, more in zip(lattice.first, border, strict=True)]
    lengths = [n * spacing + 2 * more for n, more in zip(lattice.blocks[:2], border[:2], strict=True)]
    highs = [low + n for low, n in zip(lows, (*lengths, columns * spacing), strict=True)]
    cut = tuple(slice(max(0, low), high) for low, high in zip(lows, highs, strict=True))
    beyond = [(max(0, -low), max(0, high - n)) for low, high, n in zip(lows, highs, lattice.shape, strict=True)]
    padded = np.pad(words[cut], beyond, mode="edge")
    return np.ascontiguousarray(padded.reshape(*padded.shape[:2], columns, spacing).swapaxes(2, 3))


def as_field(steps: NDArray[np.int32], search: Search, lattice: Lattice) -> Float[Tensor, "3 d h w"]:
    """Displacements of blocks in voxels, from indices along (d, h, w)."""
    field = (torch.from_numpy(steps).float() - search.radius) * search.step
    return field.T.reshape(3, *lattice.blocks).contiguous()
