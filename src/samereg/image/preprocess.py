"""Model space, the input of the networks: 2 mm isotropic, axis-aligned LPS, HU window mapped to (-1, 1)."""

from dataclasses import replace
from math import sqrt

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, bounding_grid
from samereg.geometry.volume import Volume
from samereg.geometry.walk import linear_weights
from samereg.image.resample import resample_volume

WINDOW_HU = (-800.0, 400.0)
"""HU window for soft tissue, lung and bone, as in the paper (SAME, section 3)."""

MODEL_SPACING_MM = 2.0

STORED_RANGE_HU = (-1024.0, 3071.0)
"""Range of a 12-bit CT; padding below or metal above it must not affect neighbouring voxels."""

FWHM_SIGMAS = 2.3548
"""Full width at half maximum of a Gaussian, in sigmas."""

SEPARABLE_TOLERANCE_VOX = 0.02
"""Maximum deviation of parallel axes over the volume."""


def to_model_space(volume: Volume, *, spacing_mm: float = MODEL_SPACING_MM) -> Volume:
    """The scan on an isotropic axis-aligned LPS grid that covers it, HU windowed to (-1, 1).

    Args:
        volume: CT in HU; any direction cosines and spacing.
        spacing_mm: voxel size of the result; larger is smoother and faster.

    Returns:
        Volume with values in [-1, 1] and background -1, resampled by `to_isotropic`.
    """
    isotropic = to_isotropic(volume, spacing_mm=spacing_mm)
    return replace(isotropic, data=window_hu(isotropic.data), background=-1.0, stored_dtype="float32")


def to_isotropic(volume: Volume, *, spacing_mm: float) -> Volume:
    """The scan on an isotropic axis-aligned LPS grid that covers it, in HU within `STORED_RANGE_HU`.

    Smooths before downsampling, by the difference of the point spreads of both voxels (Cardoso et al., 2015:
    the full width at half maximum is the voxel size); never sharpens. A scan that is already on
    such a grid is unchanged.

    Args:
        volume: CT in HU; any direction cosines and spacing.
        spacing_mm: voxel size of the result; larger is smoother and faster.
    """
    target = bounding_grid(volume.grid, spacing_mm=spacing_mm)
    data_hu = volume.data.clamp(*STORED_RANGE_HU)
    if not target.is_close(volume.grid):
        data_hu = _resampled(replace(volume, data=data_hu), target)
    return replace(volume, data=data_hu, grid=target, stored_dtype="float32")


def window_hu(data_hu: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """HU mapped to [-1, 1]: -800 HU and less to -1, 400 HU and more to 1, linear between."""
    low, high = WINDOW_HU
    return ((data_hu - low) * (2.0 / (high - low)) - 1.0).clamp_(-1.0, 1.0)


def window_value(hu: float) -> float:
    """Model-space value of a HU value, without clipping: -800 HU is -1, 400 HU is 1.

    >>> window_value(-200.0)
    0.0
    """
    low, high = WINDOW_HU
    return (hu - low) * (2.0 / (high - low)) - 1.0


def from_window(model: Volume) -> Volume:
    """A model-space scan converted back to HU, within the window."""
    low, high = WINDOW_HU
    return Volume(data=(model.data.float() + 1) * ((high - low) / 2) + low, grid=model.grid, source=model.source)


def blur_sigma_vox(ratio: float) -> float:
    """Sigma, in source voxels, that widens the point spread `ratio` times; 0 for ratios up to 1."""
    return sqrt(max(ratio * ratio - 1.0, 0.0)) / FWHM_SIGMAS


def _resampled(volume: Volume, target: Grid) -> Tensor:
    to_source = torch.linalg.inv(volume.grid.affine) @ target.affine
    axes = _parallel_axes(to_source, target.shape)
    if axes is None:
        smooth = replace(volume, data=_blurred(volume, target.spacing_mm[0]))
        return resample_volume(smooth, Affine.identity(), target).data
    data = volume.data
    for source_axis, target_axis in enumerate(axes):
        step = to_source[source_axis, target_axis]
        positions = step * torch.arange(target.shape[target_axis]) + to_source[source_axis, 3]
        size = volume.grid.shape[source_axis]
        weights = linear_weights(positions, size) @ _blur_weights(size, float(step.abs()))
        data = _apply_along(data, weights.to(data), source_axis)
    order = [1 + axes.index(target_axis) for target_axis in range(3)]
    return data.permute(0, *order).contiguous()


def _blurred(volume: Volume, spacing_mm: float) -> Tensor:
    data = volume.data
    for axis, source_mm in enumerate(volume.grid.spacing_mm):
        if spacing_mm > source_mm:
            weights = _blur_weights(volume.grid.shape[axis], spacing_mm / source_mm)
            data = _apply_along(data, weights.to(data), axis)
    return data


def _parallel_axes(to_source: Float64[Tensor, "4 4"], shape: tuple[int, int, int]) -> list[int] | None:
    """Target axis along which each source index changes; None if one changes along several."""
    reach = to_source[:3, :3].abs() * torch.tensor(shape, dtype=torch.float64)
    axes = reach.argmax(1).tolist()
    if sorted(axes) != [0, 1, 2]:
        return None
    drift = reach.clone()
    drift[torch.arange(3), torch.tensor(axes)] = 0.0
    return axes if float(drift.sum(1).max()) < SEPARABLE_TOLERANCE_VOX else None


def _blur_weights(size: int, ratio: float) -> Float64[Tensor, "n n"]:
    """Matrix that widens the point spread along one axis by a ratio; normalised at the border."""
    sigma = blur_sigma_vox(ratio)
    if sigma == 0.0:
        return torch.eye(size, dtype=torch.float64)
    index = torch.arange(size, dtype=torch.float64)
    blur = torch.exp(-0.5 * ((index[:, None] - index) / sigma) ** 2)
    return blur / blur.sum(1, keepdim=True)


def _apply_along(
    data: Float[Tensor, "c d h w"], weights: Float[Tensor, "m n"], axis: int
) -> Float[Tensor, "c d2 h2 w2"]:
    if axis == 2:
        return data @ weights.T
    if axis == 1:
        return weights @ data
    channels, _, height, width = data.shape
    flat = weights @ data.reshape(channels, -1, height * width)
    return flat.reshape(channels, -1, height, width)
