"""Voxels of a CT for which a DICOM header says that nothing was measured."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samereg.io.dicom_slices import Slice

_LOG = logging.getLogger(__name__)

_AIR_HU = -1024.0
_MEASURABLE_HU = (-1200.0, 40000.0)
"""From air, less noise, to metal on an extended scale; other numbers are padding wherever they stand."""
_HIGHEST_BACKGROUND_HU = -1000.0
"""Padding above this would read as tissue: it is set to air instead."""
_FEWEST_VOXELS = 8
"""Fewer voxels in one piece at the edge of a slice may be tissue that happens to have the value of the padding."""


def fill_padding(source: Path, data: NDArray[np.float32], ordered: Sequence[Slice]) -> float:
    """Replace padding by one value, in place, and return that value: what stands for "nothing measured".

    It is the padding value where that cannot be tissue, and air otherwise, as where there is none. A number that
    could have been measured is padding only in a piece that reaches the edge of its slice: the same number
    further inside is tissue.

    Args:
        source: what the log names.
        data: planes in HU (slice, row, column), which is changed.
        ordered: the planes' headers.
    """
    ranges = [_range_hu(item) for item in ordered]
    lows = [float(low) for low, _ in filter(None, ranges)]
    background_hu = min((low for low in lows if low <= _HIGHEST_BACKGROUND_HU), default=_AIR_HU)
    filled = kept = 0
    for plane, limits in zip(data, ranges, strict=True):
        if limits is None:
            continue
        candidates = (plane >= limits[0]) & (plane <= limits[1])
        if not candidates.any():
            continue
        padding = _outside(plane, candidates)
        kept += int(candidates.sum() - padding.sum())
        filled += int((plane[padding] != background_hu).sum())
        plane[padding] = background_hu
    if filled or (kept and background_hu not in lows):
        _LOG.info(
            "%s: %d voxels of padding at the edges of the slices set to %g HU; %d voxels inside have the value of "
            "the padding, and keep it",
            source,
            filled,
            background_hu,
            kept,
        )
    return background_hu


def _range_hu(item: Slice) -> tuple[np.float32, np.float32] | None:
    """Lowest and highest padding in HU, computed as the voxels were."""
    if item.padding is None:
        return None
    low, high = sorted(np.float32(end) * np.float32(item.slope) + np.float32(item.intercept) for end in item.padding)
    return low, high


def _outside(plane: NDArray[np.float32], candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those candidates that cannot have been measured, or belong to a piece that reaches the edge of the slice."""
    low, high = _MEASURABLE_HU
    certain = candidates & ((plane < low) | (plane > high))
    if certain.sum() == candidates.sum():
        return candidates
    pieces, _ = ndimage.label(candidates)
    edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    sizes = np.bincount(pieces.ravel())
    reaches = np.zeros(len(sizes), dtype=bool)
    reaches[edge] = True
    reaches &= sizes >= _FEWEST_VOXELS
    reaches[0] = False
    outside: NDArray[np.bool_] = certain | reaches[pieces]
    return outside
