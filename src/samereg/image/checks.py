"""Whether an image is a CT in Hounsfield units, large enough to register: checked before any computation."""

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.errors import GeometryError, NotCTError
from samereg.geometry.volume import Volume

SMALLEST_EXTENT_MM = 32.0

AIR_HU = -300.0
"""Lung, bowel gas, the air around a body and every padding value lie below it."""

FEWEST_AIR = 0.002
"""Share of voxels: lung, gas or air around the body; even a tight abdominal crop holds more."""

SOFT_TISSUE_HU = (-200.0, 250.0)
FEWEST_SOFT_TISSUE = 0.02

TISSUE_MEDIAN_HU = (-150.0, 300.0)
"""Where the median of all that is no air lies, whatever the part of the body and the contrast agent."""

LOWEST_HU = -1100.0
"""Below the scale, less noise: what is lower has to be padding."""

MOST_BELOW_SCALE = 0.02
"""Share of voxels that may lie below the scale without being padding: noise and streaks."""

FEWEST_VALUES = 32
"""Fewer different values than this are a label map or a mask, not a CT."""

EXAMINED_VOXELS = 400_000
"""The check looks at an even sample of about so many voxels."""


def check_ct(volume: Volume, *, name: str) -> None:
    """Refuse what is not a CT in HU, and a CT too small to register.

    Looks at intensities only: whether the scan shows a body is for `body_mask` to find.

    Args:
        volume: as it was read.
        name: what messages begin with, the path of the file.

    Raises:
        GeometryError: less than 32 mm along an axis.
        NotCTError: intensities that cannot be Hounsfield units.
    """
    extents = " x ".join(f"{extent:.0f}" for extent in volume.grid.extent_mm)
    if min(volume.grid.extent_mm) < SMALLEST_EXTENT_MM:
        raise GeometryError(
            f"{name}: the image measures {extents} mm; at least {SMALLEST_EXTENT_MM:.0f} mm are needed along each axis"
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
    """What speaks against a CT, in words; None if nothing does."""
    low, high = float(values.min()), float(values.max())
    if not bool(torch.isfinite(values).all()):
        return "it holds values that are not finite"
    if len(values.unique()) < FEWEST_VALUES:
        return f"it holds only {len(values.unique())} different values, from {low:g} to {high:g}"
    if _share(values < AIR_HU) < FEWEST_AIR:
        return f"its values run from {low:g} to {high:g} with next to nothing below {AIR_HU:.0f}"
    soft_tissue = _share((values > SOFT_TISSUE_HU[0]) & (values < SOFT_TISSUE_HU[1]))
    if soft_tissue < FEWEST_SOFT_TISSUE:
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
    if stray > MOST_BELOW_SCALE:
        return f"{stray:.1%} of its values lie below {LOWEST_HU:.0f} and are not one padding value"
    return None


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
