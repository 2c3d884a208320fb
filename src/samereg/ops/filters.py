"""Smoothing and morphology of tensors in index units (d, h, w)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

GAUSSIAN_REACH_SIGMAS = 3.0


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
    """Sum over cubes of `2 radius + 1` voxels, cropped at the border; self-adjoint.

    One banded matrix per axis: on a CPU the products are faster than pooling or running sums, and keep the
    precision that differences of running sums would lose.
    """
    depth, height, width = x.shape[2:]
    x = torch.matmul(_band(height, radius, x), x @ _band(width, radius, x))
    flat = x.reshape(*x.shape[:2], depth, height * width)
    return torch.matmul(_band(depth, radius, x), flat).view(x.shape)


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
