"""Padding voxels of a CT, as declared by the DICOM header."""

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
"""Range of measurable values, from air with noise to metal on an extended scale; others are always padding."""
_HIGHEST_BACKGROUND_HU = -1000.0
"""Padding values above this would look like tissue and are replaced by air."""
_MIN_VOXELS = 8
"""Minimum size, in voxels, of a padding component at the slice edge; smaller ones may be tissue of that value."""


def fill_padding(source: Path, data: NDArray[np.float32], ordered: Sequence[Slice]) -> float:
    """Replaces padding by one value, in place, and returns that background value.

    It is the padding value if that cannot be tissue, and air otherwise or if there is no padding. A value that
    could have been measured is padding only in a component that touches the edge of its slice: the same value
    further inside is tissue.

    Args:
        source: name of the image in the log.
        data: planes in HU (slice, row, column), modified in place.
        ordered: headers of the planes.
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
    """Candidates that cannot be measured values, or belong to a component that touches the edge of the slice."""
    low, high = _MEASURABLE_HU
    certain = candidates & ((plane < low) | (plane > high))
    if certain.sum() == candidates.sum():
        return candidates
    pieces, _ = ndimage.label(candidates)
    edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    sizes = np.bincount(pieces.ravel())
    reaches = np.zeros(len(sizes), dtype=bool)
    reaches[edge] = True
    reaches &= sizes >= _MIN_VOXELS
    reaches[0] = False
    outside: NDArray[np.bool_] = certain | reaches[pieces]
    return outside
