"""Intensities in HU: one subject's palette, tissue texture, scanner noise."""

import numpy as np
import torch
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter

from samereg.geometry.grid import Grid
from samereg.phantom.canvas import Texture
from samereg.phantom.organs import ORGANS, TISSUES
from samereg.phantom.variation import Variation, normal, uniform
from samereg.phantom.waves import random_waves

HU_RANGE = (-1024.0, 3071.0)

_BLOOD_MEAN_HU = 42.0
_BLOOD_HU = 3.0
_GAS_HU = -900.0
_SPREAD_HU = {"lung": 10.0, "bone": 15.0, "tissue": 3.0}
_OTHER_SPREAD_HU = 2.0
"""Standard deviation between subjects of a tissue's HU, by group and otherwise."""
_UPTAKE = 0.07
"""Relative standard deviation of an organ's uptake of contrast agent."""

_TEXTURE_HU = (-1024.0, -930.0, -880.0, -700.0, -300.0, -110.0, -60.0, 20.0, 120.0, 250.0, 600.0)
_TEXTURE_SIZE = (0.0, 2.0, 16.0, 30.0, 12.0, 7.0, 8.0, 4.0, 6.0, 26.0, 45.0)
"""Strength of the texture, HU, against the mean HU of the tissue."""
_FINE_MM, _COARSE_MM = (6.5, 18.0), (18.0, 60.0)
_FINE_SHARE, _COARSE_SHARE = 0.75, 0.66

_NOISE_HU = (5.0, 13.0)
"""Range of the noise's standard deviation between scans."""
_NOISE_BLUR_MM = 1.2
_SHOULDERS_MM, _SHOULDERS_WIDTH_MM, _SHOULDERS_NOISE = 118.0, 26.0, 0.8


def draw_palette(variation: Variation, generator: torch.Generator) -> dict[str, tuple[float, float]]:
    """HU of each organ and tissue of one subject, without and with contrast agent.

    Without the agent, blood is alike in all chambers and vessels; with it, each has its own level.
    """
    blood = _BLOOD_HU * normal(generator)
    palette = {}
    for organ in (*ORGANS, *TISSUES):
        own, uptake = normal(generator), normal(generator)
        spread = _SPREAD_HU.get(organ.group, _OTHER_SPREAD_HU) * own
        if organ.nc_hu == _BLOOD_MEAN_HU:
            spread = blood
        base = organ.nc_hu if organ.nc_hu < _GAS_HU else organ.nc_hu + spread
        agent = variation.enhancement * (organ.ce_hu - organ.nc_hu) * (1.0 + _UPTAKE * uptake)
        palette[organ.name] = (base, base + agent)
    return palette


def texture_fields(grid: Grid, generator: torch.Generator) -> Texture:
    """A fine and a coarse random field of unit variance, the same wherever the voxels lie."""
    fine = random_waves(generator, count=90, channels=1, wavelength_mm=_FINE_MM)
    coarse = random_waves(generator, count=60, channels=1, wavelength_mm=_COARSE_MM)
    return np.concatenate([fine.on_grid(grid), coarse.on_grid(grid)])


def add_texture(hu: Float32[np.ndarray, "2 d h w"], fields: Texture) -> None:
    """Adds tissue texture in place: the same in both phases, with strength depending on the tissue's mean HU."""
    low, high = HU_RANGE
    table = np.interp(np.arange(low, high + 1.0), _TEXTURE_HU, _TEXTURE_SIZE).astype(np.float32)
    strength = table[np.clip(hu[0] - low, 0.0, high - low).astype(np.int16)]
    hu += strength * (_FINE_SHARE * fields[0] + _COARSE_SHARE * fields[1])


def scanned(
    mean_hu: Float32[np.ndarray, "d h w"],
    template_z_mm: Float32[np.ndarray, "d h w"],
    grid: Grid,
    generator: torch.Generator,
) -> Float32[np.ndarray, "d h w"]:
    """One scan: mean HU with the noise of the scanner, whole numbers within the range of a CT.

    Noise is white noise blurred over about a millimetre, stronger through the shoulders.
    """
    level = uniform(generator, *_NOISE_HU)
    noise = torch.randn(grid.shape, generator=generator, dtype=torch.float32).numpy()
    noise = gaussian_filter(noise, [_NOISE_BLUR_MM / spacing for spacing in grid.spacing_mm], truncate=2.5)
    noise *= level / max(float(noise.std()), 1e-6)
    height = (template_z_mm - _SHOULDERS_MM) * (1.0 / _SHOULDERS_WIDTH_MM)
    noise *= 1.0 + _SHOULDERS_NOISE * np.exp(np.square(height) * -1.0)
    noise += mean_hu
    scan: Float32[np.ndarray, "d h w"] = np.clip(np.rint(noise, out=noise), *HU_RANGE, out=noise)
    return scan
