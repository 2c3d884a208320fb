"""Checks that an image is a CT in Hounsfield units and large enough to register."""

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.errors import GeometryError, NotCTError
from samereg.geometry.volume import Volume

MIN_EXTENT_MM = 32.0

AIR_HU = -300.0
"""HU threshold above lung, bowel gas, air and padding."""

MIN_AIR = 0.002
"""Minimum fraction of air, gas and lung voxels; even a tight abdominal crop has more."""

SOFT_TISSUE_HU = (-200.0, 250.0)
MIN_SOFT_TISSUE = 0.02

TISSUE_MEDIAN_HU = (-150.0, 300.0)
"""HU range of the median of non-air voxels, for any body part and contrast agent."""

LOWEST_HU = -1100.0
"""Minimum of the HU scale with noise; lower values must be padding."""

MAX_BELOW_SCALE_FRACTION = 0.02
"""Maximum fraction of non-padding voxels below the scale, due to noise and streaks."""

MIN_VALUES = 32
"""Minimum number of distinct values of a CT; label maps and masks have fewer."""

EXAMINED_VOXELS = 400_000
"""Approximate number of sampled voxels."""


def check_ct(volume: Volume, *, name: str) -> None:
    """Checks that a volume is a CT in HU and large enough to register.

    Checks intensities only; whether the scan shows a body is determined by `body_mask`.

    Args:
        volume: the scan as read.
        name: name at the beginning of messages, usually the path.

    Raises:
        GeometryError: less than 32 mm along an axis.
        NotCTError: intensities that cannot be Hounsfield units.
    """
    extents = " x ".join(f"{extent:.0f}" for extent in volume.grid.extent_mm)
    if min(volume.grid.extent_mm) < MIN_EXTENT_MM:
        raise GeometryError(
            f"{name}: the image measures {extents} mm; at least {MIN_EXTENT_MM:.0f} mm are needed along each axis"
        )
    if volume.data.shape[0] != 1:
        raise NotCTError(f"{name}: the image has {volume.data.shape[0]} channels; a CT in HU has one")
    fault = _fault(_sample(volume.data[0]))
    if fault:
        raise NotCTError(f"{name}: {fault}; a CT in Hounsfield units is needed (air -1000, water 0)")


def _sample(data: Float[Tensor, "d h w"]) -> Float[Tensor, " n"]:
    stride = max(1, int((data.numel() / EXAMINED_VOXELS) ** (1 / 3)))
    return data[::stride, ::stride, ::stride].flatten().float()


def _fault(values: Float[Tensor, " n"]) -> str | None:
    """Reason why the values cannot be a CT; None if they can."""
    low, high = float(values.min()), float(values.max())
    if not bool(torch.isfinite(values).all()):
        return "it has values that are not finite"
    if len(values.unique()) < MIN_VALUES:
        return f"it has only {len(values.unique())} distinct values, from {low:g} to {high:g}"
    if _share(values < AIR_HU) < MIN_AIR:
        return f"its values run from {low:g} to {high:g} with almost none below {AIR_HU:.0f}"
    soft_tissue = _share((values > SOFT_TISSUE_HU[0]) & (values < SOFT_TISSUE_HU[1]))
    if soft_tissue < MIN_SOFT_TISSUE:
        return f"only {soft_tissue:.1%} of its values, from {low:g} to {high:g}, are those of soft tissue"
    median = float(values[values > AIR_HU].median())
    if not TISSUE_MEDIAN_HU[0] < median < TISSUE_MEDIAN_HU[1]:
        return f"the median of its values above {AIR_HU:.0f} is {median:.0f}"
    return _fault_below_scale(values)


def _fault_below_scale(values: Float[Tensor, " n"]) -> str | None:
    below = values[values < LOWEST_HU]
    if len(below) == 0:
        return None
    padding = float(below.mode().values)
    stray = float((below != padding).sum()) / len(values)
    if stray > MAX_BELOW_SCALE_FRACTION:
        return f"{stray:.1%} of its values lie below {LOWEST_HU:.0f} and are not one padding value"
    return None


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
