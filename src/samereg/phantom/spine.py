"""Vertebrae, discs, spinal canal and cord of the template."""

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import PchipInterpolator

from samereg.phantom.shapes import Array, Curve, Part, Solid, capsule, smooth_max, tube

VERTEBRAE_MM = {
    "C3": 199.0, "C4": 184.0, "C5": 168.5, "C6": 153.0, "C7": 136.5, "T1": 118.5, "T2": 98.5, "T3": 77.5,
    "T4": 56.0, "T5": 34.0, "T6": 11.0, "T7": -12.5, "T8": -37.0, "T9": -62.0, "T10": -88.0, "T11": -114.5,
    "T12": -142.0, "L1": -171.5, "L2": -203.0,
}  # fmt: skip
"""Height of the centre of each vertebral body."""

CANAL_MM = 8.0
"""Radius of the spinal canal."""

_CORD_MM = 4.6
_DISC_MM = 4.5
_SPINE = PchipInterpolator(
    (-240, -200, -160, -120, -80, -40, 0, 30, 60, 90, 120, 150, 170, 200, 240),
    (22, 28, 36, 44, 51, 56, 57, 56, 52, 44, 32, 20, 14, 8, 4),
)
"""Kyphosis: y of the bodies' centres against height."""


def spine_y_mm(z_mm: float) -> float:
    """Y of the centre of the spine's bodies at a height."""
    return float(_SPINE(z_mm))


def body_radii_mm(z_mm: float) -> tuple[float, float]:
    """Half width and half depth of a vertebral body at a height."""
    heights = (-210.0, -140.0, -20.0, 118.0, 150.0, 200.0)
    half_width = float(np.interp(z_mm, heights, (22.0, 20.5, 15.5, 14.5, 12.0, 11.0)))
    half_depth = float(np.interp(z_mm, heights, (16.5, 15.5, 14.5, 10.0, 8.5, 8.0)))
    return half_width, half_depth


def vertebrae() -> Solid:
    """All vertebrae: bodies, pedicles, laminae, transverse and spinous processes."""
    return tuple(part for name in VERTEBRAE_MM for part in _vertebra(name))


def discs() -> Solid:
    """The disc under each vertebra."""
    parts = []
    for name, height in VERTEBRAE_MM.items():
        wide, deep = body_radii_mm(height)
        z = height - 0.5 * (_body_height_mm(name) + _DISC_MM)
        centre = np.array([0.0, spine_y_mm(z), z])
        parts.append(_drum(centre, (0.98 * wide, 0.98 * deep), _DISC_MM + 2.0, _tilt(z)))
    return tuple(parts)


def canal_and_cord() -> tuple[Solid, Solid]:
    """The spinal canal and the cord in its middle."""
    curve = np.array([_canal_mm(float(z)) for z in np.arange(-240.0, 240.1, 8.0)])
    return tube(curve, CANAL_MM, flatten=(0.85, 1.0, 1.0)), tube(curve, _CORD_MM, flatten=(0.85, 1.0, 1.0))


def spine_curve(low_mm: float, high_mm: float, *, across_mm: float, behind_mm: float) -> Curve:
    """Line along the spine between two heights, shifted from the middle of the bodies."""
    z = np.arange(low_mm, high_mm + 0.1, 10.0)
    return np.array([[across_mm, spine_y_mm(float(v)) + behind_mm, v] for v in z])


def _canal_mm(z_mm: float) -> list[float]:
    return [0.0, spine_y_mm(z_mm) + body_radii_mm(z_mm)[1] + CANAL_MM, z_mm]


def _body_height_mm(name: str) -> float:
    heights = list(VERTEBRAE_MM.values())
    index = list(VERTEBRAE_MM).index(name)
    above, below = max(index - 1, 0), min(index + 1, len(heights) - 1)
    return (heights[above] - heights[below]) / (below - above) - _DISC_MM


def _tilt(z_mm: float) -> float:
    return float(np.arctan2(spine_y_mm(z_mm + 8.0) - spine_y_mm(z_mm - 8.0), 16.0))


def _vertebra(name: str) -> Solid:
    z = VERTEBRAE_MM[name]
    y = spine_y_mm(z)
    wide, deep = body_radii_mm(z)
    back = y + deep + 2.0 * CANAL_MM
    thoracic = name.startswith("T")
    reach, droop, tail, fall = (30.0, 2.0, 24.0, 22.0) if thoracic else (24.0, 0.0, 24.0, 6.0)
    parts = [_drum(np.array([0.0, y, z]), (wide, deep), _body_height_mm(name), _tilt(z))]
    for side in (-1.0, 1.0):
        pedicle = np.array([side * 12.0, y + deep - 1.0, z + 4.0])
        corner = np.array([side * 13.0, back - 5.0, z + 2.0])
        tip = np.array([side * reach, back + 1.0, z + 5.0 - droop])
        middle = np.array([0.0, back + 3.5, z - 4.0])
        parts.append(capsule(pedicle, corner, (3.8, 4.2), flatten=(1.0, 1.0, 0.75)))
        parts.append(capsule(corner, tip, (4.6, 4.2)))
        parts.append(capsule(corner, middle, (3.4, 3.6), flatten=(1.0, 1.0, 0.6)))
    start, end = np.array([0.0, back + 3.0, z - 5.0]), np.array([0.0, back + tail, z - 5.0 - fall])
    parts.append(capsule(start, end, (3.0, 3.4), flatten=(1.0, 1.0, 0.7)))
    return tuple(parts)


def _drum(centre_mm: Float64[np.ndarray, " 3"], radii_mm: tuple[float, float], height_mm: float, tilt: float) -> Part:
    """Upright elliptic drum with a slight waist, tilted about the x axis."""
    cx, cy, cz = (float(v) for v in centre_mm)
    cosine, sine = float(np.cos(tilt)), float(np.sin(tilt))
    half, (wide, deep) = height_mm / 2.0, radii_mm

    def distance(x: Array, y: Array, z: Array) -> Array:
        x, y, z = x - cx, y - cy, z - cz
        y, z = cosine * y - sine * z, sine * y + cosine * z
        waist = 0.90 + 0.10 * np.minimum((z / half) ** 2, 1.0)
        around = (np.sqrt((x / wide) ** 2 + (y / deep) ** 2) - waist) * min(wide, deep)
        return smooth_max(around, np.abs(z) - half, 3.0)

    reach = np.array([wide, deep + half * abs(sine) + 1.0, half + deep * abs(sine) + 1.0])
    return Part(low_mm=centre_mm - reach, high_mm=centre_mm + reach, distance=distance)
