"""Measures exactly as computed by the evaluation of the Learn2Reg challenge."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from samereg.geometry.fields import from_transform, to_index_field
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.optional import optional_package

JACOBIAN_OFFSET = 3.0
"""Offset of determinants in logarithms, so that mild folding is defined."""

JACOBIAN_LIMITS = (1e-9, 1e9)
RIM_VOX = 2
"""Excluded voxels at each face."""

HD_PERCENT = 95.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChallengeScores:
    """The challenge's measures of one pair.

    Attributes:
        dice: mean over the labels in both scans, regardless of the field of view; None without any.
        hd95_vox: mean over the same labels of the robust Hausdorff distance in voxels, regardless of spacing; None
            if undefined for all.
        log_jacobian_std: standard deviation of log(|J| + 3) over the whole grid except two voxels at each face,
            including air.
        dropped: labels missing in one scan, which are ignored.
    """

    dice: float | None
    hd95_vox: float | None
    log_jacobian_std: float
    dropped: tuple[int, ...]


def challenge_scores(fixed: LabelMap, moving: LabelMap, transform: Transform) -> ChallengeScores:
    """Computes the challenge's measures of a transform.

    Args:
        fixed: labels of the fixed scan.
        moving: labels of the moving scan, resampled by nearest neighbour.
        transform: fixed world to moving world.

    Raises:
        MissingPackageError: the Hausdorff distance needs the package `surface-distance`.
    """
    moved = resample_labels(moving, transform, fixed.grid)
    highest = int(max(fixed.data.max(), moving.data.max()))
    dice, hd95, dropped = [], [], []
    for value in range(1, highest + 1):
        first, second = (labels.data.numpy() == value for labels in (fixed, moved))
        if not first.any() or not bool((moving.data == value).any()):
            dropped.append(value)
            continue
        dice.append(2.0 * float((first & second).sum()) / float(first.sum() + second.sum()))
        if second.any():
            hd95.append(robust_hausdorff_vox(first, second))
    field = to_index_field(from_transform(transform, fixed.grid, dtype=torch.float64))
    return ChallengeScores(
        dice=float(np.mean(dice)) if dice else None,
        hd95_vox=float(np.mean(hd95)) if hd95 else None,
        log_jacobian_std=offset_log_jacobian_std(field),
        dropped=tuple(dropped),
    )


def offset_log_jacobian_std(field_vox: Float64[Tensor, "1 3 d h w"]) -> float:
    """Standard deviation of log(|J| + 3) of a displacement in voxels; differences are zero-padded at the border."""
    derivative = np.array([-0.5, 0.0, 0.5])
    displacement = field_vox[0].cpu().numpy()
    gradient = np.stack(
        [ndimage.correlate1d(displacement, derivative, axis=axis, mode="constant") for axis in (1, 2, 3)], axis=1
    )
    inner = (slice(None), slice(None), *(slice(RIM_VOX, -RIM_VOX),) * 3)
    jacobian = np.moveaxis(gradient[inner], (0, 1), (-2, -1)) + np.eye(3)
    determinant = np.linalg.det(jacobian) + JACOBIAN_OFFSET
    return float(np.log(determinant.clip(*JACOBIAN_LIMITS)).std())


def robust_hausdorff_vox(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """95 % Hausdorff distance of the package `surface-distance` with unit spacing."""
    package = require_surface_distance()
    distances = package.compute_surface_distances(first, second, (1.0, 1.0, 1.0))
    return float(package.compute_robust_hausdorff(distances, HD_PERCENT))


def require_surface_distance() -> Any:
    """Imports the package used by the challenge for distances.

    Raises:
        MissingPackageError: not installed.
    """
    return optional_package("surface_distance", purpose="the challenge's Hausdorff distance")
