"""STAPLE as ITK computes it; it stands here because only this package speaks to ITK."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from jaxtyping import Int
from torch import Tensor

from samereg.errors import InputError

MAX_LABEL = 65534
"""ITK needs one more value for what stays undecided."""


def staple(maps: Sequence[Int[Tensor, "d h w"]]) -> Int[Tensor, "d h w"]:
    """Label map that several imperfect ones make most likely, each trusted as far as it agrees with the others.

    Multi-label STAPLE (Rohlfing et al., "Expectation maximization strategies for multi-atlas multi-label
    segmentation", 2003), computed in the box that holds every label; 0 outside it and where nothing is decided.

    Args:
        maps: on one grid; values from 0 to `MAX_LABEL`.

    Raises:
        InputError: other values.
    """
    low, high = min(int(each.min()) for each in maps), max(int(each.max()) for each in maps)
    if low < 0 or high > MAX_LABEL:
        raise InputError(f"got labels from {low} to {high}; STAPLE needs values from 0 to {MAX_LABEL}")
    fused = torch.zeros_like(maps[0])
    held = torch.nonzero(torch.stack([each != 0 for each in maps]).any(dim=0))
    if not len(held):
        return fused
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(held.amin(dim=0), held.amax(dim=0), strict=True))
    images = [sitk.GetImageFromArray(each[box].cpu().numpy().astype(np.uint16)) for each in maps]
    estimate = sitk.MultiLabelSTAPLEImageFilter()
    estimate.SetLabelForUndecidedPixels(high + 1)
    found = sitk.GetArrayFromImage(estimate.Execute(images)).astype(np.int64)
    decided = torch.from_numpy(np.where(found > high, 0, found))
    fused[box] = decided.to(fused.dtype)
    return fused
