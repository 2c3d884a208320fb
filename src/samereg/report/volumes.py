"""NIfTI files of the viewers, embedded in the page."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from samereg.geometry.grid import Grid
from samereg.geometry.volume import LabelMap
from samereg.io.nifti import nifti_bytes
from samereg.report.colours import WINDOW_HU, gray
from samereg.report.pictures import Scene
from samereg.report.shown_maps import ShownMap

MIN_MM = 2.0
"""Spacing in mm of the scans in the page."""

MAX_VOXELS = 6_000_000
"""Maximum number of voxels of a scan in the page (about 10 MB for two); larger ones are downsampled."""

SHADE_STEP = 2
"""Step of gray values: 13 HU, less than noise, saves a sixth of the size."""

OUTSIDE = 0
"""Stored value of unknown voxels; known values use the other 255."""


def shown_spacing_mm(voxels_at_finest: int) -> float:
    """Display spacing of a scan by its number of 2 mm voxels: 2 mm, or larger in steps of 0.5 mm."""
    needed: float = MIN_MM * max(1.0, voxels_at_finest / MAX_VOXELS) ** (1.0 / 3.0)
    return ceil(2.0 * needed) / 2.0


def viewer_volumes(scene: Scene, maps: Sequence[ShownMap]) -> Mapping[str, str]:
    """Base64 files of the viewers by name.

    Returns:
        `fixed` and `moved` in HU, each map by its key, and with labels `fixed-labels` and `moved-labels`.
    """
    low, high = WINDOW_HU
    slope = (high - low) / 255.0
    files = {
        name: _file(_coarser(gray(volume.data[0].numpy())), volume.grid, slope=slope, intercept=low)
        for name, volume in (("fixed", scene.fixed), ("moved", scene.moved))
    }
    files |= {shown.key: _map_file(shown) for shown in maps}
    if scene.labels is not None:
        files["fixed-labels"], files["moved-labels"] = (_label_file(each) for each in scene.labels)
    return files


def _coarser(shades: UInt8[ndarray, "d h w"]) -> UInt8[ndarray, "d h w"]:
    """Gray values rounded down to a multiple of `SHADE_STEP`."""
    return (shades // SHADE_STEP * SHADE_STEP).astype(np.uint8)


def _map_file(shown: ShownMap) -> str:
    low, high = shown.scale.low, shown.scale.high
    share = np.clip((shown.values.numpy() - low) / (high - low), 0.0, 1.0)
    stored = np.where(shown.body.numpy(), 1 + np.round(share * 254.0), OUTSIDE).astype(np.uint8)
    slope = (high - low) / 254.0
    return _file(stored, shown.grid, slope=slope, intercept=low - slope)


def _label_file(labels: LabelMap) -> str:
    """Label file; values above 255 wrap around to 1, like their colours."""
    values = labels.data.numpy()
    stored = np.where(values == 0, 0, (values - 1) % 255 + 1).astype(np.uint8)
    return _file(stored, labels.grid, slope=1.0, intercept=0.0)


def _file(array: UInt8[ndarray, "d h w"], grid: Grid, *, slope: float, intercept: float) -> str:
    return b64encode(nifti_bytes(array, grid, slope=slope, intercept=intercept)).decode("ascii")
