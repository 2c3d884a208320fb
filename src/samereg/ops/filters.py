"""Smoothing and morphology of tensors in index units (d, h, w)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

GAUSSIAN_REACH_SIGMAS = 3.0

SLAB_VALUES = 1 << 18
"""Values of a box sum in work at a time on a CPU: 1 MB in single precision, what a core's cache holds."""

BAND_PLANES = 32
"""Planes of a box sum that one product gives: most of a whole band would be zeros."""


def gaussian_smooth(x: Float[Tensor, "b c d h w"], sigma_vox: tuple[float, float, float]) -> Float[Tensor, "b c d h w"]:
    """Separable Gaussian smoothing, truncated at three sigmas and normalised; the border is replicated.

    Args:
        x: values to smooth, channel by channel.
        sigma_vox: standard deviation along (d, h, w), index units; 0 leaves that axis unchanged.
    """
    for axis, sigma in enumerate(sigma_vox):
        if sigma > 0:
            x = _convolve_axis(x, _gaussian_kernel(sigma).to(x), axis)
    return x


def box_sum(x: Float[Tensor, "b c d h w"], radius: int) -> Float[Tensor, "b c d h w"]:
    """Sum over cubes of `2 radius + 1` voxels, of the voxels that exist at the border; its own adjoint.

    Few planes at a time, which stay in the cache of a CPU: sums of 2, 4, 8 neighbours along rows and columns, then a
    banded product across the planes. Unlike differences of running sums it loses no precision. Records no gradient.
    """
    batch, channels, depth, height, width = x.shape
    planes = x.detach().reshape(-1, height, width)
    at_once = max(1, SLAB_VALUES // (height * width)) if x.device.type == "cpu" else len(planes)
    in_plane = torch.empty_like(planes, memory_format=torch.contiguous_format)
    for begin in range(0, len(planes), at_once):
        slab = functional.pad(planes[begin : begin + at_once], (radius,) * 4)
        in_plane[begin : begin + at_once] = _window_sum(_window_sum(slab, 2, 2 * radius + 1), 1, 2 * radius + 1)
    return _sum_across(in_plane.view(batch * channels, depth, height * width), radius).view(x.shape)


def box_mean(x: Float[Tensor, "b c d h w"], radius: int) -> Float[Tensor, "b c d h w"]:
    """Mean over cubes of `2 radius + 1` voxels, cropped at the border."""
    return box_sum(x, radius) / box_count(x, radius)


def box_count(x: Float[Tensor, "b c d h w"], radius: int) -> Float[Tensor, "d h w"]:
    """Number of voxels of `x` in the cube of `2 radius + 1` around each voxel."""
    along_d, along_h, along_w = (_band(n, radius, x).sum(1) for n in x.shape[2:])
    return along_d[:, None, None] * along_h[:, None] * along_w


def dilate(mask: Bool[Tensor, "d h w"], radius: int) -> Bool[Tensor, "d h w"]:
    """Dilation of a mask by a cube of `2 radius + 1` voxels."""
    grown = functional.max_pool3d(mask[None, None].float(), 2 * radius + 1, stride=1, padding=radius)
    return grown[0, 0] > 0


def erode(mask: Bool[Tensor, "d h w"], radius: int) -> Bool[Tensor, "d h w"]:
    """Erosion of a mask by a cube of `2 radius + 1` voxels; outside the array counts as mask."""
    return ~dilate(~mask, radius)


def _window_sum(x: Float[Tensor, "..."], axis: int, width: int) -> Float[Tensor, "..."]:
    """Sum of every `width` neighbours along an axis, where there are so many: sums of 1, 2, 4, ... are joined."""
    count = x.shape[axis] - width + 1
    total: Tensor | None = None
    reach, span = 0, 1
    while span <= width:
        if width & span:
            part = x.narrow(axis, reach, count)
            total = part if total is None else total + part
            reach += span
        if 2 * span <= width:
            size = x.shape[axis] - span
            x = x.narrow(axis, 0, size) + x.narrow(axis, span, size)
        span *= 2
    return x if total is None else total


def _sum_across(planes: Float[Tensor, "b d n"], radius: int) -> Float[Tensor, "b d n"]:
    """Sums over `2 radius + 1` planes: products with the part of the band that is not zero."""
    depth = planes.shape[1]
    band, out = _band(depth, radius, planes), torch.empty_like(planes)
    for begin in range(0, depth, BAND_PLANES):
        end = min(begin + BAND_PLANES, depth)
        low, high = max(0, begin - radius), min(depth, end + radius)
        out[:, begin:end] = band[begin:end, low:high] @ planes[:, low:high]
    return out


def _band(size: int, radius: int, like: Tensor) -> Float[Tensor, "n n"]:
    index = torch.arange(size, device=like.device)
    return ((index[:, None] - index).abs() <= radius).to(like.dtype)


def _gaussian_kernel(sigma: float) -> Float[Tensor, " k"]:
    reach = max(1, int(GAUSSIAN_REACH_SIGMAS * sigma + 0.5))
    x = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    return kernel / kernel.sum()


def _convolve_axis(x: Tensor, kernel: Tensor, axis: int) -> Tensor:
    reach = kernel.numel() // 2
    padding = [0, 0, 0, 0, 0, 0]
    padding[4 - 2 * axis] = padding[5 - 2 * axis] = reach
    shape = [1, 1, 1, 1, 1]
    shape[2 + axis] = kernel.numel()
    batch, channels = x.shape[:2]
    flat = functional.pad(x, padding, mode="replicate").reshape(batch * channels, 1, *_padded(x.shape[2:], padding))
    return functional.conv3d(flat, kernel.view(shape)).reshape(x.shape)


def _padded(size: torch.Size, padding: list[int]) -> list[int]:
    return [n + padding[4 - 2 * axis] + padding[5 - 2 * axis] for axis, n in enumerate(size)]
