"""Shoulder girdle of the template: clavicles, scapulae lying on the rib cage, heads of the humeri."""

from collections.abc import Sequence

import numpy as np

from samereg.phantom.shapes import (
    Array,
    Distance,
    Part,
    Point,
    Solid,
    cut,
    ellipsoid,
    half_space,
    spline,
    tube,
)
from samereg.phantom.torso import Profile

_CLAVICLE = ((24.0, -66.0, 97.0), (48.0, -68.0, 106.0), (82.0, -56.0, 119.0), (116.0, -28.0, 132.0),
             (146.0, -6.0, 141.0))  # fmt: skip
_SCAPULAR_SPINE = ((66.0, 106.0, 92.0), (92.0, 106.0, 104.0), (122.0, 90.0, 122.0), (150.0, 52.0, 136.0))
_ACROMION = ((150.0, 52.0, 136.0), (154.0, 28.0, 140.0), (150.0, 6.0, 142.0))
_CORACOID = ((136.0, 36.0, 116.0), (132.0, 8.0, 124.0), (138.0, -8.0, 116.0))
_GLENOID_NECK = ((122.0, 66.0, 108.0), (142.0, 36.0, 110.0))
_BLADE_XZ = ((66.0, 112.0), (92.0, -6.0), (142.0, 108.0))
"""Corners of the blade: upper inner, lower, and at the joint; y follows from the rib cage."""
_HUMERUS = ((163.0, 22.0, 113.0), (22.0, 22.0, 23.0))


def clavicle(side: float) -> Solid:
    """Right (-1) or left (1) collar bone."""
    curve = spline(_mirrored(_CLAVICLE, side))
    along = np.linspace(0.0, 1.0, len(curve))
    return tube(curve, np.interp(along, (0.0, 0.2, 0.8, 1.0), (8.5, 5.8, 5.6, 6.8)).tolist())


def scapula(cavity: Profile, side: float) -> Solid:
    """Right (-1) or left (1) shoulder blade: blade, spine, acromion, coracoid process and neck."""
    neck = spline(_mirrored(_GLENOID_NECK, side))
    return (
        _blade(cavity, side),
        *tube(spline(_mirrored(_SCAPULAR_SPINE, side)), 4.6),
        *tube(spline(_mirrored(_ACROMION, side)), 6.0, flatten=(0.8, 1.0, 1.0)),
        *tube(spline(_mirrored(_CORACOID, side)), 5.2),
        *tube(neck, np.linspace(7.0, 12.0, len(neck)).tolist()),
    )


def humerus_head(side: float) -> Solid:
    """Head of the right (-1) or left (1) upper arm bone; raised arms leave the field of view above it."""
    centre, radii = _HUMERUS
    return (ellipsoid((side * centre[0], centre[1], centre[2]), radii),)


def girdle_points() -> dict[str, Point]:
    """Medial ends of the clavicles and tips of the coracoid processes."""
    points: dict[str, Point] = {}
    for side, name in ((-1.0, "right"), (1.0, "left")):
        points[f"{name}_clavicle_medial"] = _mirrored(_CLAVICLE, side)[0]
        points[f"{name}_coracoid_tip"] = _mirrored(_CORACOID, side)[-1]
    return points


def _mirrored(knots: Sequence[Point], side: float) -> list[Point]:
    return [(side * x, y, z) for x, y, z in knots]


def _blade(cavity: Profile, side: float) -> Part:
    top, bottom, socket = ((side * x, z) for x, z in _BLADE_XZ)
    edges = (_edge(top, bottom, socket), _edge(bottom, socket, top), _edge(socket, top, bottom))
    low = np.array([min(top[0], socket[0]) - 6.0, 5.0, bottom[1] - 6.0])
    high = np.array([max(top[0], socket[0]) + 6.0, 128.0, top[1] + 12.0])

    def plate(x: Array, y: Array, z: Array) -> Array:
        # Muscle lifts the blade off the ribs, more towards the shoulder.
        height = 19.0 + 9.0 * np.clip((z - 60.0) / 50.0, 0.0, 1.0)
        result: Array = np.abs(cavity.distance(x, y, z) - height) - 2.4
        return result

    behind = half_space((0.0, -1.0, 0.0), (0.0, 30.0, 0.0))
    return cut(Part(low_mm=low, high_mm=high, distance=plate), *edges, behind, blend_mm=3.0)


def _edge(first: tuple[float, float], second: tuple[float, float], inner: tuple[float, float]) -> Distance:
    """Half space whose border holds two points (x, z) and the y direction; negative at the inner point."""
    normal = np.array([second[1] - first[1], 0.0, first[0] - second[0]])
    outward = float(np.sign(normal[0] * (first[0] - inner[0]) + normal[2] * (first[1] - inner[1])))
    return half_space((outward * normal).tolist(), (first[0], 0.0, first[1]))
