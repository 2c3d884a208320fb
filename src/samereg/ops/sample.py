"""Interpolation of tensors at continuous positions: index units along (d, h, w), voxel centres at integers.

The only module that calls `grid_sample`, reverses axes for it and sets `align_corners`.
"""

from math import prod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

ALIGN_CORNERS = True
"""Voxel centres sit at integers: -1 and 1 of the sampler are the first and last voxel centre."""

_DIMENSIONS = 3

Mode = Literal["bilinear", "nearest"]

MAX_ROWS = 1 << 13
"""Rows up to which one picture may stand for a block: its sampler knows a row to a ten-millionth of their number."""


def sample_grid(
    volume: Float[Tensor, "b c d h w"],
    points_vox: Float[Tensor, "b *g 3"],
    *,
    mode: Mode = "bilinear",
    outside: float = 0.0,
    clamp: bool = False,
) -> Float[Tensor, "b c *g"]:
    """Values of a volume at continuous positions.

    Args:
        volume: values on integer positions.
        points_vox: positions along (d, h, w), index units; any number of dimensions.
        mode: torch's name; `bilinear` means trilinear here.
        outside: value beyond the outermost voxel centres, blended in over one voxel.
        clamp: replicate the border instead of using `outside`.

    Returns:
        Values in the dtype of `volume`; sampled in single precision, as bfloat16 cannot hold a position.
    """
    dtype = torch.promote_types(volume.dtype, torch.float32)
    size = torch.tensor(volume.shape[2:], dtype=points_vox.dtype, device=points_vox.device)
    unit = (2.0 * points_vox / (size - 1).clamp(min=1) - 1.0).flip(-1).to(dtype)
    shift = 0.0 if clamp else outside
    batch, *lattice, _ = unit.shape
    values = functional.grid_sample(
        volume.to(dtype) - shift if shift else volume.to(dtype),
        unit.reshape(batch, *(lattice if len(lattice) == _DIMENSIONS else (1, 1, prod(lattice))), 3),
        mode=mode,
        padding_mode="border" if clamp else "zeros",
        align_corners=ALIGN_CORNERS,
    )
    if shift:
        values = values + shift
    return values.reshape(batch, volume.shape[1], *lattice).to(volume.dtype)


def sample_block(block: Float[Tensor, "d c h w"], points_vox: Float[Tensor, "3 *g"]) -> Float[Tensor, "c *g"]:
    """Trilinear values of a small block on one thread, three times as fast as `sample_grid`.

    All slices stand in one tall picture, which the vectorised two-dimensional sampler reads at the slice below and,
    as further channels, at the slice above each point; the two are blended.

    Args:
        block: values on integer positions, contiguous; at least two slices, and a spare row at either end of h.
        points_vox: positions (d, h, w) within the block and within its spare rows, of the type of the block.
    """
    depth, channels, height, width = block.shape
    d, h, w = points_vox
    if channels * depth * height > MAX_ROWS:
        return sample_grid(block.movedim(1, 0)[None], points_vox.movedim(0, -1)[None])[0]
    low = d.floor().clamp_(0, depth - 2)
    rows = (depth - 2) * channels * height + height
    unit = torch.empty((2, d.numel() // max(1, d.shape[-1]), d.shape[-1]), dtype=d.dtype)
    torch.mul(w, 2.0 / max(1, width - 1), out=unit[0].view(d.shape)).sub_(1.0)
    across = torch.add(h, low, alpha=channels * height, out=unit[1].view(d.shape))
    across.mul_(2.0 / (rows - 1)).sub_(1.0)
    picture = block.as_strided((1, 2 * channels, rows, width), (0, height * width, width, 1))
    values = functional.grid_sample(
        picture, unit.permute(1, 2, 0)[None], padding_mode="border", align_corners=ALIGN_CORNERS
    )
    below, above = values.view(2, channels, *d.shape)
    return torch.lerp(below, above, d - low)


def gather_linear(
    rows: Float[Tensor, "v c"], shape: tuple[int, int, int], points_vox: Float[Tensor, "n 3"]
) -> Float[Tensor, "n c"]:
    """Trilinear values at a few points of a large feature map, by indexing its rows; the border is replicated.

    Reads eight rows per point instead of the whole map, forward and (through `index_select`) with one
    scattered addition backward.

    Args:
        rows: features, one row per voxel, d slowest (a flattened channels-last map).
        shape: (d, h, w) of the map; `v = d * h * w`.
        points_vox: positions along (d, h, w), index units.

    Returns:
        Interpolated rows in the dtype of `rows`.
    """
    index, weight = linear_corners(shape, points_vox)
    corners = rows.index_select(0, index.flatten()).view(*index.shape, rows.shape[1])
    return (corners * weight.to(rows.dtype)[..., None]).sum(1)


def linear_corners(
    shape: tuple[int, int, int], points_vox: Float[Tensor, "n 3"]
) -> tuple[Tensor, Float[Tensor, "n 8"]]:
    """Flat indices (n, 8) and weights of the eight voxels around each point, clamped to the border."""
    size = torch.tensor(shape, device=points_vox.device)
    inside = torch.minimum(points_vox.clamp(min=0), (size - 1).to(points_vox.dtype))
    low = torch.minimum(inside.floor().long(), (size - 2).clamp(min=0))
    high = torch.minimum(low + 1, size - 1)
    fraction = inside - low
    stride = torch.tensor([shape[1] * shape[2], shape[2], 1], device=points_vox.device)
    indices, weights = [], []
    for corner in range(8):
        bits = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1], device=points_vox.device).bool()
        indices.append((torch.where(bits, high, low) * stride).sum(-1))
        weights.append(torch.where(bits, fraction, 1 - fraction).prod(-1))
    return torch.stack(indices, 1), torch.stack(weights, 1)


def identity_grid(shape: tuple[int, int, int], *, device: torch.device | str = "cpu") -> Float[Tensor, "d h w 3"]:
    """Index coordinates (d, h, w) of every voxel, float32."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def warp(
    volume: Float[Tensor, "b c d h w"],
    displacement_vox: Float[Tensor, "b 3 d2 h2 w2"],
    *,
    mode: Mode = "bilinear",
    outside: float = 0.0,
    clamp: bool = False,
) -> Float[Tensor, "b c d2 h2 w2"]:
    """The pulled-back volume `x -> volume(x + u(x))`, index units; for the settings see `sample_grid`."""
    shape = (displacement_vox.shape[2], displacement_vox.shape[3], displacement_vox.shape[4])
    points = identity_grid(shape, device=volume.device) + displacement_vox.permute(0, 2, 3, 4, 1)
    return sample_grid(volume, points, mode=mode, outside=outside, clamp=clamp)


def upsample_aligned(coarse: Float[Tensor, "b c d h w"], size: tuple[int, int, int]) -> Float[Tensor, "b c d2 h2 w2"]:
    """Upsampling by two in which coarse cell `i` lies at fine cell `2 i`; the border is replicated.

    Strided convolutions with odd kernels place their cells there, so features of all levels stay aligned.

    Args:
        coarse: values on the coarse lattice with `n` cells per axis.
        size: cells of the fine lattice, `2 n - 1` or `2 n` per axis.
    """
    padded = functional.pad(coarse, (0, 1, 0, 1, 0, 1), mode="replicate")
    whole = [2 * n + 1 for n in coarse.shape[2:]]
    fine = functional.interpolate(padded, size=whole, mode="trilinear", align_corners=ALIGN_CORNERS)
    return fine[:, :, : size[0], : size[1], : size[2]]
