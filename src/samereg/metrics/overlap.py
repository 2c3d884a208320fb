"""Overlap of two label maps on one grid."""

import torch
from jaxtyping import Int
from torch import Tensor


def dice(fixed: Int[Tensor, "d h w"], moved: Int[Tensor, "d h w"]) -> dict[int, float]:
    """Dice coefficient ``2 |A and B| / (|A| + |B|)`` of every label in either map.

    Args:
        fixed: labels on the fixed grid; 0 is background and does not count.
        moved: labels of the moving image, resampled onto the same grid.

    Returns:
        Label to coefficient, 0 to 1, in ascending order; 0 for a label in only one of the maps.
    """
    first, second = fixed.flatten().long(), moved.flatten().long()
    low = int(torch.minimum(first.min(), second.min()))
    size = int(torch.maximum(first.max(), second.max())) - low + 1
    sizes = torch.bincount(first - low, minlength=size) + torch.bincount(second - low, minlength=size)
    common = torch.bincount(first[first == second] - low, minlength=size)
    held = torch.nonzero(sizes)[:, 0].tolist()
    return {i + low: 2.0 * int(common[i]) / int(sizes[i]) for i in held if i + low != 0}
