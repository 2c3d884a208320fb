"""Exact regularisation of block displacements on a tree, by belief propagation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from samereg.baselines import kernels
from samereg.baselines.lattice import Lattice

MIN_DIFFERENCE = 1e-3
"""Added to every difference, because scipy treats weight 0 as no edge."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tree:
    """A spanning tree of the blocks of a lattice.

    Attributes:
        order: blocks, parents before children, the root first.
        parents: of each block; the root is its own.
    """

    order: Int32[np.ndarray, " n"]
    parents: Int32[np.ndarray, " n"]


def spanning_tree(image: Float[Tensor, "d h w"], lattice: Lattice) -> Tree:
    """Minimum spanning tree of neighbouring blocks (Heinrich et al., MICCAI 2012).

    The weight of an edge is the mean absolute difference of its two blocks; the minimum spanning tree
    keeps organs connected and lets them slide along others.

    Args:
        image: whose intensities distinguish organs.
        lattice: the blocks.
    """
    count = int(np.prod(lattice.blocks))
    number = np.arange(count).reshape(lattice.blocks)
    blocks = _voxels_of_blocks(image, lattice)
    starts, ends, weights = [], [], []
    for axis in range(3):
        length = lattice.blocks[axis]
        first, second = blocks.narrow(axis, 0, length - 1), blocks.narrow(axis, 1, length - 1)
        weights.append((first - second).abs().mean((3, 4, 5)).flatten().double().numpy())
        starts.append(number.take(range(length - 1), axis).ravel())
        ends.append(number.take(range(1, length), axis).ravel())
    values = np.concatenate(weights) + MIN_DIFFERENCE
    edges = coo_array((values, (np.concatenate(starts), np.concatenate(ends))), shape=(count, count))
    root = int(number[tuple(n // 2 for n in lattice.blocks)])
    order, parents = breadth_first_order(minimum_spanning_tree(edges.tocsr()), root, directed=False)
    parents[root] = root
    return Tree(order=order.astype(np.int32), parents=parents.astype(np.int32))


def smoothest(
    costs: Float32[np.ndarray, "n displacements"], tree: Tree, start: Float32[np.ndarray, "n 3"], *, weight: float
) -> NDArray[np.int32]:
    """Displacements of least ``sum_p c_p(l_p) + weight sum_pq |l_p + s_p - l_q - s_q|^2`` over the tree's edges.

    Exact: messages from the leaves to the root, each a distance transform along one axis after another (Felzenszwalb
    and Huttenlocher, 2006), then choices from the root to the leaves.

    Args:
        costs: ``c``; overwritten.
        tree: of the blocks.
        start: ``s``, initial displacements, steps along (d, h, w).
        weight: larger is smoother.

    Returns:
        ``l`` as indices along (d, h, w), 0 for the most negative step.
    """
    offsets = np.ascontiguousarray(start - start[tree.parents], dtype=np.float32)
    chosen = np.empty((len(costs), 3), np.int32)
    kernels.send_to_root(costs, tree.order, tree.parents, offsets, weight)
    kernels.choose_from_root(costs, tree.order, tree.parents, offsets, weight, chosen)
    return chosen


def _voxels_of_blocks(image: Tensor, lattice: Lattice) -> Float[Tensor, "d h w g g g"]:
    for axis, (first, blocks) in enumerate(zip(lattice.first, lattice.blocks, strict=True)):
        image = image.narrow(axis, first, blocks * lattice.spacing).unfold(axis, lattice.spacing, lattice.spacing)
    return image
