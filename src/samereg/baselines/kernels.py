"""The loops of dense displacement sampling that no tensor library has: arrays in, arrays filled, index units."""

from typing import Any, no_type_check

import numpy as np
from numpy.typing import NDArray

from samereg.baselines.compiling import compiled, count_ones

STEPS = 5
"""Bits a channel: a number from 0 to 1 is kept as one of six, so many ones in a row."""

LANES = 8
"""Blocks whose costs are summed side by side: the 64-bit words of the widest register."""


@compiled
@no_type_check
def pack(context: NDArray[np.float32], words: NDArray[np.uint64]) -> None:
    """Descriptors with each channel as a row of ones, so that differing bits count absolute differences.

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
    sums = np.empty(fixed.shape[3], np.uint64)
    for row in range(blocks[0] * blocks[1]):
        first_d, first_h = row // blocks[1] * spacing, row % blocks[1] * spacing
        for displacement in range(side**3):
            to_d = displacement // (side * side) * step
            to_h = displacement // side % side * step
            to_w = (displacement % side - radius) * step + padding
            for lane in range(0, blocks[2], LANES):
                n0 = n1 = n2 = n3 = n4 = n5 = n6 = n7 = np.uint64(0)
                for along_w in range(0, spacing, stride):
                    phase = (along_w + to_w) % spacing
                    place = (along_w + to_w) // spacing + lane
                    for along_d in range(first_d, first_d + spacing, stride):
                        for along_h in range(first_h, first_h + spacing, stride):
                            f = fixed[along_d, along_h, along_w]
                            m = moving[along_d + to_d, along_h + to_h, phase]
                            n0 += count_ones(f[lane] ^ m[place])
                            n1 += count_ones(f[lane + 1] ^ m[place + 1])
                            n2 += count_ones(f[lane + 2] ^ m[place + 2])
                            n3 += count_ones(f[lane + 3] ^ m[place + 3])
                            n4 += count_ones(f[lane + 4] ^ m[place + 4])
                            n5 += count_ones(f[lane + 5] ^ m[place + 5])
                            n6 += count_ones(f[lane + 6] ^ m[place + 6])
                            n7 += count_ones(f[lane + 7] ^ m[place + 7])
                sums[lane], sums[lane + 1], sums[lane + 2], sums[lane + 3] = n0, n1, n2, n3
                sums[lane + 4], sums[lane + 5], sums[lane + 6], sums[lane + 7] = n4, n5, n6, n7
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
    """Add to each node's costs what the branches below it cost at best, from the leaves to the root.

    The message of a node to its parent is ``m(k) = min_l c(l) + weight |l - k + offset|^2``, a minimum along one axis
    after another.

    Args:
        costs: (nodes, displacements), changed in place.
        order: nodes, parents before children.
        parents: of each node.
        offsets: (nodes, 3), how far a node begins from its parent, in steps.
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
    """The displacements that together cost least, from the root to the leaves; arguments as of `send_to_root`.

    Args:
        costs: what `send_to_root` left.
        order: nodes, parents before children.
        parents: of each node.
        offsets: (nodes, 3), how far a node begins from its parent, in steps.
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
