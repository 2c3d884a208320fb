"""Interpolation with cubic convolution and windowed sinc kernels; index units along (d, h, w)."""

from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

Kernel = Literal["cubic", "sinc"]

RADIUS: dict[Kernel, int] = {"cubic": 2, "sinc": 3}
"""Kernel radius, voxels."""

_SHARPNESS = -0.5
"""``a`` of Keys' cubic convolution: exact for quadratics (Keys, 1981, eq. 15)."""


def sample_kernel(
    volume: Float[Tensor, "c d h w"], points_vox: Float64[Tensor, "n 3"], *, kernel: Kernel
) -> Float[Tensor, "c n"]:
    """Values of a volume at continuous positions; the border is replicated.

    Overshoots at edges: results may lie outside the range of the input.

    Args:
        volume: values on integer positions.
        points_vox: positions along (d, h, w).
        kernel: `cubic` (Keys) uses 4 voxels along each axis, `sinc` (Lanczos) 6.
    """
    radius = RADIUS[kernel]
    base = points_vox.floor()
    taps = torch.arange(1 - radius, radius + 1)
    weights = _weights(points_vox - base, taps, kernel).to(volume.dtype)
    size = torch.tensor(volume.shape[1:])
    places = (base.long()[:, :, None] + taps).minimum((size - 1)[None, :, None]).clamp(min=0)
    flat = volume.reshape(volume.shape[0], -1)
    total = volume.new_zeros(volume.shape[0], len(points_vox))
    for d, h, w in torch.cartesian_prod(*(torch.arange(len(taps)),) * 3).tolist():
        index = (places[:, 0, d] * volume.shape[2] + places[:, 1, h]) * volume.shape[3] + places[:, 2, w]
        total += flat[:, index] * (weights[:, 0, d] * weights[:, 1, h] * weights[:, 2, w])
    return total


def _weights(fraction: Float64[Tensor, "n 3"], taps: Tensor, kernel: Kernel) -> Float64[Tensor, "n 3 t"]:
    distance = (fraction[:, :, None] - taps).abs()
    if kernel == "cubic":
        a = _SHARPNESS
        near = ((a + 2.0) * distance - (a + 3.0)) * distance**2 + 1.0
        far = a * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
        return torch.where(distance <= 1.0, near, far)
    weights: Tensor = torch.special.sinc(distance) * torch.special.sinc(distance / RADIUS[kernel])
    normalised: Tensor = weights / weights.sum(dim=-1, keepdim=True)
    return normalised
