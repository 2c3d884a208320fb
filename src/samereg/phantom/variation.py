"""Variation of a subject from the template: a smooth invertible warp, and changes of organs."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64
from scipy.spatial.transform import Rotation

from samereg.geometry.grid import Grid
from samereg.phantom.waves import Waves, limited, random_waves

_STEEPNESS = 0.35
"""Bound on the Jacobian of the warp's wavy part; below the smallest stretch, so the warp is invertible."""
_INVERSE_ITERATIONS = 60
_LIMIT = 1.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Warp:
    """Subject world to template world, ``t(x) = L x + s + u(x)``, mm, with ``u`` a sum of waves."""

    linear: Float64[np.ndarray, "3 3"]
    shift_mm: Float64[np.ndarray, " 3"]
    waves: Waves

    def to_template(self, points_mm: Float64[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """Where subject points lie in the template."""
        moved: Float64[np.ndarray, "*n 3"] = points_mm @ self.linear.T + self.shift_mm
        moved += self.waves.at(points_mm)
        return moved

    def to_subject(
        self, points_mm: Float64[np.ndarray, "*n 3"], *, iterations: int = _INVERSE_ITERATIONS
    ) -> Float64[np.ndarray, "*n 3"]:
        """Where template points lie in the subject, by ``x <- L^-1 (t - s - u(x))``, a contraction."""
        inverse = np.linalg.inv(self.linear).T
        found: Float64[np.ndarray, "*n 3"] = (points_mm - self.shift_mm) @ inverse
        for _ in range(iterations):
            found = (points_mm - self.shift_mm - self.waves.at(found)) @ inverse
        return found

    def template_coordinates(self, grid: Grid) -> Float32[np.ndarray, "3 d h w"]:
        """Template position (x, y, z) of every voxel centre of a grid in subject world."""
        field = self.waves.on_grid(grid)
        affine = grid.affine.numpy()
        steps = self.linear @ affine[:3, :3]
        start = self.linear @ affine[:3, 3] + self.shift_mm
        index = [np.arange(n) for n in grid.shape]
        for axis in range(3):
            field[axis] += (start[axis] + steps[axis, 0] * index[0]).astype(np.float32)[:, None, None]
            field[axis] += (steps[axis, 1] * index[1]).astype(np.float32)[:, None]
            field[axis] += (steps[axis, 2] * index[2]).astype(np.float32)
        return field


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """Random parameters of one subject.

    Attributes:
        warp: the subject's frame to the template's.
        jitter: displacement, mm, of organs in the template: centres and centre lines follow it.
        sizes: factor on the radii of each named part; read with ``size``.
        fat_mm: thickness of the fat under the skin.
        breast: 0 for none, otherwise the size of the breasts.
        diaphragm_mm: rise of the right and left dome (breathing in lowers them).
        heart: factor on the size of the heart.
        heart_turn: rotation of the heart about its centre.
        enhancement: factor on the contrast agent's effect.
        table: whether the scanner's table is seen.
    """

    warp: Warp
    jitter: Waves
    sizes: dict[str, float]
    fat_mm: float
    breast: float
    diaphragm_mm: tuple[float, float]
    heart: float
    heart_turn: Float64[np.ndarray, "3 3"]
    enhancement: float
    table: bool

    def size(self, name: str) -> float:
        """Factor on the radii of this part."""
        return self.sizes[name]

    def moved(self, points_mm: Float64[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
        """Template points after the jitter of organs."""
        moved: Float64[np.ndarray, "*n 3"] = points_mm + self.jitter.at(points_mm)
        return moved


SIZED = (
    "airway", "oesophagus", "aorta", "pulmonary_artery", "branches", "cava", "veins", "left_atrium",
    "right_atrium", "left_ventricle", "right_ventricle", "wall", "thyroid", "spleen", "kidneys", "stomach",
    "liver", "muscle",
)  # fmt: skip
"""Parts with independently varying radii."""


def draw_variation(generator: torch.Generator) -> Variation:
    """A subject's variation; every draw comes from the generator, in a fixed order."""
    fat = 5.0 + 20.0 * uniform(generator, 0.0, 1.0) ** 1.7
    breast = uniform(generator, 0.6, 1.15)
    female = uniform(generator, 0.0, 1.0) < 0.45
    breath = uniform(generator, -14.0, 14.0)
    turn = [uniform(generator, -limit, limit) for limit in (9.0, 9.0, 12.0)]
    return Variation(
        warp=draw_warp(generator),
        jitter=limited(
            random_waves(generator, count=24, channels=3, wavelength_mm=(70.0, 180.0)),
            rms=2.6,
            steepness=1.2,
        ),
        sizes={name: 1.0 + 0.09 * normal(generator) for name in SIZED},
        fat_mm=fat,
        breast=breast if female else 0.0,
        diaphragm_mm=(breath + uniform(generator, -5.0, 5.0), breath + uniform(generator, -7.0, 7.0)),
        heart=1.0 + 0.07 * normal(generator),
        heart_turn=Rotation.from_euler("xyz", turn, degrees=True).as_matrix(),
        enhancement=uniform(generator, 0.72, 1.3),
        table=uniform(generator, 0.0, 1.0) < 0.75,
    )


def draw_warp(generator: torch.Generator) -> Warp:
    """Random size, posture and a smooth deformation, invertible by construction."""
    overall = 1.0 + 0.045 * normal(generator)
    stretch = [overall * (1.0 + 0.035 * normal(generator)) for _ in range(3)]
    angles = [uniform(generator, -limit, limit) for limit in (4.0, 2.5, 4.0)]
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    shift = np.array([uniform(generator, -limit, limit) for limit in (5.0, 5.0, 10.0)])
    waves = random_waves(generator, count=16, channels=3, wavelength_mm=(140.0, 420.0))
    return Warp(
        linear=np.diag(1.0 / np.clip(stretch, 0.88, 1.12)) @ turn,
        shift_mm=shift,
        waves=limited(waves, rms=5.5, steepness=_STEEPNESS),
    )


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One number between low and high."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def normal(generator: torch.Generator, *, limit: float = _LIMIT) -> float:
    """One standard normal number, cut off at plus and minus ``limit``."""
    return float(torch.randn((), generator=generator, dtype=torch.float64).clamp(-limit, limit))
