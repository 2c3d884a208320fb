"""Intensity augmentation: contrast agent, noise, sharpness, window.

Model-space intensities in and out: (-800, 400) HU is (-1, 1), so 600 HU are 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.ops.filters import gaussian_smooth
from samereg.ops.sample import identity_grid, sample_grid

HU_PER_UNIT = 600.0
ZERO_HU = 1.0 / 3.0
"""Water in model space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """Ranges of the augmentation, sampled uniformly.

    Attributes:
        agent_probability: probability of remapping soft-tissue bands, as by contrast agent.
        agent_hu: minimum and maximum change in a remapped band.
        agent_centre_hu: range of the centre of a band.
        agent_width_hu: standard deviation of a band.
        lung_probability: probability of shifting aerated lung, as by inspiration.
        lung_hu: maximum shift of the lung.
        window_hu: maximum shift of the window's ends.
        noise_hu: maximum standard deviation of added noise.
        blur_probability: probability of smoothing one or all axes, as by thick slices and soft kernels.
        blur_vox: maximum standard deviation of the smoothing.
    """

    agent_probability: float = 0.7
    agent_hu: tuple[float, float] = (-80.0, 250.0)
    agent_centre_hu: tuple[float, float] = (-20.0, 150.0)
    agent_width_hu: tuple[float, float] = (15.0, 50.0)
    lung_probability: float = 0.3
    lung_hu: float = 100.0
    window_hu: float = 60.0
    noise_hu: float = 40.0
    blur_probability: float = 0.3
    blur_vox: float = 1.2


def vary_appearance(
    image: Float[Tensor, "1 d h w"], settings: Appearance, generator: torch.Generator
) -> Float[Tensor, "1 d h w"]:
    """Augments intensities to simulate other scanners, contrast phases and breathing states."""
    if _chance(settings.agent_probability, generator):
        image = _remap_bands(image, settings, generator)
    if _chance(settings.lung_probability, generator):
        shift = _uniform((-settings.lung_hu, settings.lung_hu), generator) / HU_PER_UNIT
        image = image + _band(image, -700.0, 90.0) * shift
    if _chance(settings.blur_probability, generator):
        image = gaussian_smooth(image[None], _blur(settings, generator))[0]
    low, high = (_uniform((-settings.window_hu, settings.window_hu), generator) / HU_PER_UNIT for _ in range(2))
    image = image * (1 + (high - low) / 2) + (high + low) / 2
    sigma = _uniform((0.0, settings.noise_hu), generator) / HU_PER_UNIT
    return torch.randn(image.shape, generator=generator).mul_(sigma).add_(image).clamp_(-1, 1)


def _remap_bands(image: Tensor, settings: Appearance, generator: torch.Generator) -> Tensor:
    """Shifts two bands of soft tissue by spatially varying amounts."""
    change = torch.zeros_like(image)
    for _ in range(2):
        centre = _uniform(settings.agent_centre_hu, generator)
        width = _uniform(settings.agent_width_hu, generator)
        height = _uniform(settings.agent_hu, generator) / HU_PER_UNIT
        places = torch.rand(1, 1, 4, 4, 4, generator=generator).mul_(2).clamp_(max=1)
        change += _band(image, centre, width) * height * _spread(places, image.shape[1:])
    return image + change


def _spread(lattice: Tensor, shape: torch.Size) -> Tensor:
    """A small random lattice interpolated over the view."""
    thinned = identity_grid((-(-shape[0] // 4), -(-shape[1] // 4), -(-shape[2] // 4)))
    size = torch.tensor(lattice.shape[2:]) - 1
    scaled = thinned * (size / (torch.tensor(thinned.shape[:3]) - 1).clamp(min=1))
    coarse = sample_grid(lattice, scaled[None], clamp=True)[0]
    for axis in (1, 2, 3):
        coarse = coarse.repeat_interleave(4, dim=axis)
    return coarse[:, : shape[0], : shape[1], : shape[2]]


def _band(image: Tensor, centre_hu: float, width_hu: float) -> Tensor:
    centre, width = centre_hu / HU_PER_UNIT + ZERO_HU, width_hu / HU_PER_UNIT
    return torch.exp(-0.5 * ((image - centre) / width) ** 2)


def _blur(settings: Appearance, generator: torch.Generator) -> tuple[float, float, float]:
    sigma = _uniform((0.3, settings.blur_vox), generator)
    if _chance(0.5, generator):
        return sigma, 0.0, 0.0
    return sigma, sigma, sigma


def _uniform(ends: tuple[float, float], generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator)) * (ends[1] - ends[0]) + ends[0]


def _chance(probability: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < probability
