"""Compiled loops of dense displacement sampling, in index units."""

from typing import Any, no_type_check

import numpy as np
from numpy.typing import NDArray

from samereg.baselines.compiling import LANES, add_differing_bits, compiled

STEPS = 5
"""Bits per channel: a value from 0 to 1 is quantised to six levels in unary coding."""


@compiled
@no_type_check
def pack(context: NDArray[np.float32], words: NDArray[np.uint64]) -> None:
    """Unary coding of descriptors, so that the Hamming distance is the sum of absolute differences.

    Args:
        context: (12, n), from 0 to 1.
        words: (n), filled; 60 bits of each are used.
    """
    for i in range(words.shape[0]):
        words[i] = 0
    for channel in range(context.shape[0]):
        for i in range(words.shape[0]):
            ones = np.uint64(context[channel, i] * STEPS + np.float32(0.5))
            words[i] |= ((np.uint64(1) << ones) - np.uint64(1)) << np.uint64(channel * STEPS)


@compiled
@no_type_check
def block_costs(
    fixed: NDArray[np.uint64],
    moving: NDArray[np.uint64],
    costs: NDArray[np.float32],
    blocks: tuple[int, int, int],
    search: tuple[int, int, int, int],
) -> None:
    """Mean number of differing bits between blocks and their displaced counterparts.

    Both images hold their voxels along w by remainder and quotient of the spacing, so that the same voxel of
    neighbouring blocks lies side by side.

    Args:
        fixed: (d, h, spacing, w) words; w is a multiple of `LANES`.
        moving: the same, padded on all sides.
        costs: (blocks, displacements), filled; the blocks with w fastest, as the displacements.
        blocks: number along (d, h, w).
        search: spacing of the blocks, radius of the search in steps, voxels per step, voxels of padding along w.
    """
    spacing, radius, step, padding = search
    stride = 2 if spacing > 4 else 1
    samples = (spacing + stride - 1) // stride
    side = 2 * radius + 1
    scale = np.float32(1.0 / samples**3)
    columns = fixed.shape[3]
    sums = np.empty(columns, np.uint64)
    flat_fixed, flat_moving = fixed.reshape(-1), moving.reshape(-1)
    for row in range(blocks[0] * blocks[1]):
        first_d, first_h = row // blocks[1] * spacing, row % blocks[1] * spacing
        for displacement in range(side**3):
            to_d = displacement // (side * side) * step
            to_h = displacement // side % side * step
            to_w = (displacement % side - radius) * step + padding
            sums[:] = 0
            for w in range(0, spacing, stride):
                phase, column = (w + to_w) % spacing, (w + to_w) // spacing
                for d in range(first_d, first_d + spacing, stride):
                    for h in range(first_h, first_h + spacing, stride):
                        here = ((d * fixed.shape[1] + h) * spacing + w) * columns
                        there = ((d + to_d) * moving.shape[1] + h + to_h) * spacing + phase
                        there = there * moving.shape[3] + column
                        for k in range(0, columns, LANES):
                            add_differing_bits(sums, flat_fixed, flat_moving, (k, here + k, there + k))
            for block in range(blocks[2]):
                costs[row * blocks[2] + block, displacement] = np.float32(sums[block]) * scale


@compiled
@no_type_check
def send_to_root(
    costs: NDArray[np.float32],
    order: NDArray[np.int32],
    parents: NDArray[np.int32],
    offsets: NDArray[np.float32],
    weight: float,
) -> None:
    """Adds to each node's costs the minimum costs of its subtrees, from the leaves to the root.

    The message of a node to its parent is ``m(k) = min_l c(l) + weight |l - k + offset|^2``, a minimum along one axis
    after another.

    Args:
        costs: (nodes, displacements), changed in place.
        order: nodes, parents before children.
        parents: of each node.
        offsets: (nodes, 3), initial displacement relative to the parent, in steps.
        weight: of the squared difference, in steps.
    """
    side = round(costs.shape[1] ** (1.0 / 3.0))
    plane = side * side
    source = np.empty(costs.shape[1], np.float32)
    least = np.empty(plane, np.float32)
    turned = np.empty(costs.shape[1], np.float32)
    for number in range(order.shape[0] - 1, 0, -1):
        node = order[number]
        source[:] = costs[node]
        for axis in range(3):
            for k in range(side):
                least[:] = np.float32(np.inf)
                for i in range(side):
                    apart = np.float32(i - k) + offsets[node, axis]
                    penalty = np.float32(weight) * apart * apart
                    for j in range(plane):
                        least[j] = min(least[j], source[i * plane + j] + penalty)
                for j in range(plane):
                    turned[j * side + k] = least[j]
            source, turned = turned, source
        lowest = source.min()
        target = costs[parents[node]]
        for j in range(costs.shape[1]):
            target[j] += source[j] - lowest


@compiled
@no_type_check
def choose_from_root(
    costs: NDArray[np.float32],
    order: NDArray[np.int32],
    parents: NDArray[np.int32],
    offsets: NDArray[np.float32],
    weight: float,
    chosen: NDArray[np.int32],
) -> None:
    """Selects the optimal displacements, from the root to the leaves; for arguments see `send_to_root`.

    Args:
        costs: from `send_to_root`.
        order: nodes, parents before children.
        parents: of each node.
        offsets: (nodes, 3), initial displacement relative to the parent, in steps.
        weight: of the squared difference, in steps.
        chosen: (nodes, 3), filled with indices along (d, h, w), 0 for the most negative step.
    """
    side = round(costs.shape[1] ** (1.0 / 3.0))
    total = np.empty(costs.shape[1], np.float32)
    for number in range(order.shape[0]):
        node = order[number]
        total[:] = costs[node]
        if number > 0:
            parent = chosen[parents[node]]
            from_d = parent[0] - offsets[node, 0]
            from_h = parent[1] - offsets[node, 1]
            from_w = parent[2] - offsets[node, 2]
            for d in range(side):
                for h in range(side):
                    apart = (d - from_d) ** 2 + (h - from_h) ** 2
                    for w in range(side):
                        squared = apart + (w - from_w) ** 2
                        total[(d * side + h) * side + w] += np.float32(weight) * np.float32(squared)
        best = np.argmin(total)
        chosen[node, 0] = best // (side * side)
        chosen[node, 1] = best // side % side
        chosen[node, 2] = best % side


def words_of(context: NDArray[np.float32]) -> NDArray[Any]:
    """Packed descriptors of an image, (d, h, w), of its descriptors (12, d, h, w)."""
    words = np.empty(context.shape[1:], np.uint64)
    pack(context.reshape(context.shape[0], -1), words.reshape(-1))
    return words
