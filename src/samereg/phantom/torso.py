"""The big surfaces of the template: chest cavity, muscle envelope, skin and diaphragm.

Template frame: LPS mm, origin in the middle of the chest; the carina lies near z = 35.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int
from scipy.interpolate import PchipInterpolator

from samereg.phantom.shapes import Array, smooth_max
from samereg.phantom.variation import Variation

_REACH_MM = 280.0
"""Profiles are tabulated for z between plus and minus this; beyond, the last value holds."""
_STEP_MM = 0.25
_MIN_MM = 1.0
_RADIUS_ITERATIONS = 12

_CAVITY = np.array([
    [-240.0, 122.0, -84.0, 66.0],
    [-200.0, 126.0, -86.0, 70.0],
    [-150.0, 131.0, -90.0, 80.0],
    [-100.0, 132.0, -94.0, 87.0],
    [-50.0, 129.0, -93.0, 90.0],
    [0.0, 123.0, -87.0, 90.0],
    [40.0, 112.0, -78.0, 87.0],
    [70.0, 98.0, -65.0, 82.0],
    [95.0, 81.0, -48.0, 74.0],
    [112.0, 64.0, -30.0, 66.0],
    [124.0, 46.0, -14.0, 58.0],
    [131.0, 29.0, 2.0, 50.0],
    [135.0, 10.0, 18.0, 38.0],
    [136.0, 0.0, 24.0, 24.0],
])  # fmt: skip
"""z, half width, y of the front, y of the back."""
_CAVITY_FORM = (0.10, 0.07)
"""Taper and gutter."""

_MUSCLE = np.array([
    [-240.0, 143.0, -99.0, 98.0],
    [-200.0, 146.0, -101.0, 102.0],
    [-150.0, 149.0, -105.0, 108.0],
    [-100.0, 150.0, -109.0, 113.0],
    [-50.0, 150.0, -110.0, 118.0],
    [0.0, 153.0, -107.0, 121.0],
    [40.0, 161.0, -101.0, 122.0],
    [80.0, 174.0, -90.0, 119.0],
    [110.0, 184.0, -76.0, 112.0],
    [132.0, 184.0, -60.0, 103.0],
    [148.0, 168.0, -48.0, 94.0],
    [160.0, 138.0, -44.0, 86.0],
    [172.0, 100.0, -44.0, 79.0],
    [185.0, 72.0, -46.0, 74.0],
    [200.0, 62.0, -48.0, 71.0],
    [240.0, 60.0, -50.0, 70.0],
])  # fmt: skip
"""Outer surface of the muscles, as `_CAVITY`."""
_MUSCLE_FORM = (0.05, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A tube-like surface: at each height a superellipse (power 2.5) with its own centre and half axes.

    ``taper`` narrows it towards the front; ``gutter`` deepens it on both sides of the spine.
    """

    half_width_mm: Float32[np.ndarray, " t"]
    half_depth_mm: Float32[np.ndarray, " t"]
    centre_y_mm: Float32[np.ndarray, " t"]
    level: Float32[np.ndarray, " t"]
    taper: float
    gutter: float

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance: along the ray from the axis, corrected for the slope of the profile with z."""
        row = table_row(z)
        y = y - self.centre_y_mm[row]
        power = self._power(x / self.half_width_mm[row], y / self.half_depth_mm[row])
        result: Array = np.sqrt(x * x + y * y) * (1.0 - 1.0 / power) * self.level[row]
        return result

    def _power(self, across: Array, back: Array) -> Array:
        """1 on the surface, in units of the half axes; below 1 inside."""
        across = np.abs(across)
        deeper = 1.0 - self.gutter * np.exp(np.square((across - 0.42) * 4.0) * -1.0)
        u = across * (1.0 - self.taper * np.clip(back, -1.0, 1.0))
        v = np.where(back > 0.0, back * deeper, -back)
        result: Array = np.power(u * u * np.sqrt(u) + v * v * np.sqrt(v) + 1e-9, 0.4)
        return result

    def at_angle(
        self, z_mm: Float64[np.ndarray, " n"], angle: Float64[np.ndarray, " n"], offset_mm: float
    ) -> Float64[np.ndarray, "n 3"]:
        """Points outside the surface by an offset; angle 0 is posterior, pi / 2 left, pi anterior."""
        row = table_row(z_mm.astype(np.float32))
        half_width = self.half_width_mm[row].astype(np.float64) + offset_mm
        half_depth = self.half_depth_mm[row].astype(np.float64) + offset_mm
        sine, cosine = np.sin(angle), np.cos(angle)
        radius = np.full_like(sine, 80.0)
        for _ in range(_RADIUS_ITERATIONS):
            across, back = radius * sine / half_width, radius * cosine / half_depth
            radius /= self._power(across.astype(np.float32), back.astype(np.float32))
        return np.stack([radius * sine, self.centre_y_mm[row] + radius * cosine, z_mm], axis=1)

    def front_mm(self, z_mm: float) -> float:
        """Y of the most anterior point at a height."""
        row = int(table_row(np.array([z_mm], dtype=np.float32))[0])
        return float(self.centre_y_mm[row] - self.half_depth_mm[row])

    def back_mm(self, z_mm: float) -> float:
        """Y of the most posterior point at a height, the gutters not counted."""
        row = int(table_row(np.array([z_mm], dtype=np.float32))[0])
        return float(self.centre_y_mm[row] + self.half_depth_mm[row])


@dataclass(frozen=True, kw_only=True, slots=True)
class Torso:
    """The surfaces that organs are fitted into; all distances are negative inside (diaphragm: above it)."""

    cavity: Profile
    muscle: Profile
    skin: Profile
    dome_mm: tuple[tuple[float, float, float], tuple[float, float, float]]

    def dome_height(self, x: Array, y: Array) -> Array:
        """Z of the diaphragm: a right and a left dome and the plateau under the heart."""
        right = _dome(x, y, self.dome_mm[0], width_mm=70.0)
        left = _dome(x, y, self.dome_mm[1], width_mm=66.0)
        middle = 0.5 * (self.dome_mm[0][2] + self.dome_mm[1][2]) - 2.0
        plateau = middle - 34.0 * (((x - 14.0) / 58.0) ** 2 + ((y + 28.0) / 62.0) ** 2)
        return smooth_max(smooth_max(right, left, 10.0), plateau, 14.0)

    def above_diaphragm(self, x: Array, y: Array, z: Array) -> Array:
        """Negative in the chest."""
        result: Array = (self.dome_height(x, y) - z) * 0.8
        return result

    def below_diaphragm(self, x: Array, y: Array, z: Array) -> Array:
        """Negative in the abdomen."""
        return -self.above_diaphragm(x, y, z)


def build_torso(variation: Variation) -> Torso:
    """Surfaces of one subject: fat thickness and breathing vary, the bony cage does so through the warp."""
    height = _MUSCLE[:, 0]
    belly = 1.0 + 0.5 / (1.0 + np.exp((height + 100.0) / 30.0))
    neck = 1.0 / (1.0 + np.exp((height - 150.0) / 12.0))
    layer = 3.0 + variation.fat_mm * belly * (0.35 + 0.65 * neck)
    thicker = np.stack([np.zeros_like(layer), layer, -0.9 * layer, 0.55 * layer], axis=1)
    right, left = variation.diaphragm_mm
    return Torso(
        cavity=_profile(_CAVITY, _CAVITY_FORM),
        muscle=_profile(_MUSCLE, _MUSCLE_FORM),
        skin=_profile(_MUSCLE + thicker, _MUSCLE_FORM),
        dome_mm=((-64.0, 2.0, -86.0 + right), (70.0, 6.0, -97.0 + left)),
    )


def table_row(z: Array) -> Int[np.ndarray, "..."]:
    """Row of a profile's tables for each height."""
    last = 2.0 * _REACH_MM / _STEP_MM
    return np.clip((z + _REACH_MM) / _STEP_MM + 0.5, 0.0, last).astype(np.intp)


def _dome(x: Array, y: Array, top_mm: tuple[float, float, float], *, width_mm: float) -> Array:
    """Half of a bell that falls faster towards the back, where the lung reaches deepest."""
    x, y = (x - top_mm[0]) / width_mm, y - top_mm[1]
    y = np.where(y > 0.0, y / 64.0, y / 118.0)
    result: Array = top_mm[2] - 60.0 * (x * x + y * y)
    return result


def _profile(knots_mm: Float64[np.ndarray, "k 4"], form: tuple[float, float]) -> Profile:
    z = np.arange(-_REACH_MM, _REACH_MM + _STEP_MM / 2, _STEP_MM)
    inside = np.clip(z, knots_mm[0, 0], knots_mm[-1, 0])
    width, near, far = PchipInterpolator(knots_mm[:, 0], knots_mm[:, 1:])(inside).T
    width, depth = np.maximum(width, _MIN_MM), np.maximum(0.5 * (far - near), _MIN_MM)
    slope = np.gradient(0.5 * (width + depth), _STEP_MM)
    tables = (width, depth, 0.5 * (near + far), 1.0 / np.sqrt(1.0 + slope**2))
    wide, deep, middle, level = (table.astype(np.float32) for table in tables)
    return Profile(
        half_width_mm=wide, half_depth_mm=deep, centre_y_mm=middle, level=level, taper=form[0], gutter=form[1]
    )
