"""Abdominal organs in a chest CT: liver, spleen, stomach, kidneys, colon."""

from dataclasses import dataclass

import numpy as np

from samereg.phantom.shapes import (
    Array,
    Distance,
    Part,
    Point,
    Solid,
    cut,
    ellipsoid,
    grown,
    half_space,
    outside,
    spline,
    tube,
)
from samereg.phantom.torso import Torso
from samereg.phantom.variation import Variation

_DIAPHRAGM_MM = 3.0
_STOMACH_WALL_MM = 3.5
_COLON_WALL_MM = 3.0
_FOLLOWS = 0.85
"""Fraction of its dome's motion followed by each organ."""
_COLON = np.array([
    [104.0, 10.0, -260.0], [106.0, -6.0, -190.0], [96.0, -40.0, -172.0], [60.0, -66.0, -196.0],
    [10.0, -70.0, -214.0], [-40.0, -64.0, -216.0], [-84.0, -40.0, -230.0],
])  # fmt: skip
_HEPATIC_VEINS = np.array([
    [[-22.0, 12.0, -112.0], [-50.0, 4.0, -122.0], [-88.0, -6.0, -142.0]],
    [[-22.0, 12.0, -112.0], [-40.0, -20.0, -120.0], [-52.0, -52.0, -136.0]],
    [[-22.0, 12.0, -112.0], [-4.0, -20.0, -118.0], [18.0, -44.0, -126.0]],
    [[-14.0, -2.0, -175.0], [-44.0, 6.0, -160.0], [-84.0, 18.0, -164.0]],
    [[-44.0, 6.0, -160.0], [-64.0, -18.0, -166.0], [-82.0, -44.0, -176.0]],
    [[-14.0, -2.0, -175.0], [4.0, -26.0, -150.0], [16.0, -50.0, -144.0]],
])  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Abdomen:
    """Abdominal organs of one subject's template; in the stomach, gas lies above fluid."""

    liver: Solid
    liver_veins: Solid
    spleen: Solid
    stomach_wall: Solid
    stomach: Solid
    stomach_gas: Solid
    kidneys: Solid
    colon: Solid
    colon_gas: Solid


def build_abdomen(torso: Torso, variation: Variation) -> Abdomen:
    """Organs that move with the diaphragm's domes."""
    right, left = (_FOLLOWS * rise for rise in variation.diaphragm_mm)
    stomach = _stomach(torso, variation, left)
    colon = _colon(torso, variation)
    level = half_space((0.0, 1.0, 0.0), (0.0, -30.0 + 14.0 * variation.size("stomach"), 0.0))
    front = half_space((0.0, 1.0, 0.0), (0.0, -45.0, 0.0))
    return Abdomen(
        liver=(_liver(torso, variation, right),),
        liver_veins=_liver_veins(right),
        spleen=(_spleen(torso, variation, left),),
        stomach_wall=grown(stomach, _STOMACH_WALL_MM),
        stomach=stomach,
        stomach_gas=tuple(cut(part, level) for part in grown(stomach, -1.0)),
        kidneys=(_kidney(variation, right, -1.0, -196.0), _kidney(variation, left, 1.0, -186.0)),
        colon=colon,
        colon_gas=tuple(cut(part, front) for part in grown(colon, -_COLON_WALL_MM)),
    )


def _under_dome(torso: Torso) -> Distance:
    def distance(x: Array, y: Array, z: Array) -> Array:
        return torso.below_diaphragm(x, y, z) + _DIAPHRAGM_MM

    return distance


def _inside_wall(torso: Torso, margin_mm: float) -> Distance:
    def distance(x: Array, y: Array, z: Array) -> Array:
        return torso.cavity.distance(x, y, z) + margin_mm

    return distance


def _liver(torso: Torso, variation: Variation, rise: float) -> Part:
    """Fills the right dome, minus the other organs below and the spine behind."""
    size = variation.size("liver")
    low, high = np.array([-135.0, -100.0, -260.0]), np.array([85.0, 95.0, -40.0 + rise])
    limits = (
        _under_dome(torso),
        outside(ellipsoid((50.0, -4.0, -262.0 + rise), (112.0, 120.0, 112.0 / size)).distance),
        half_space((0.62, 0.78, 0.0), (-8.0, 22.0, 0.0)),
        half_space((1.0, -0.35, 0.3), (64.0 * size, -60.0, -110.0)),
        outside(ellipsoid((0.0, 48.0, -150.0), (34.0, 36.0, 400.0)).distance),
    )
    space = Part(low_mm=low, high_mm=high, distance=_inside_wall(torso, 3.5))
    return cut(space, *limits, blend_mm=16.0)


def _liver_veins(rise: float) -> Solid:
    parts: list[Part] = []
    for knots in _HEPATIC_VEINS + np.array([0.0, 0.0, rise]):
        curve = spline(knots)
        parts.extend(tube(curve, np.linspace(4.2, 1.6, len(curve)).tolist()))
    return tuple(parts)


def _stomach(torso: Torso, variation: Variation, rise: float) -> Solid:
    size = variation.size("stomach")
    fundus = ellipsoid(_moved(variation, (58.0, 8.0, -132.0), rise), (38.0 * size, 38.0 * size, 36.0))
    body = ellipsoid(_moved(variation, (48.0, -34.0, -160.0), rise), (32.0 * size, 34.0 * size, 52.0))
    limits = (_under_dome(torso), _inside_wall(torso, 8.0))
    return tuple(cut(part, *limits, blend_mm=8.0) for part in (fundus, body))


def _spleen(torso: Torso, variation: Variation, rise: float) -> Part:
    size = variation.size("spleen")
    x, y, z = _moved(variation, (93.0, 44.0, -150.0), rise)
    bulk = ellipsoid((x, y, z), (36.0 * size, 48.0 * size, 52.0 * size))
    hollow = outside(ellipsoid((x - 38.0, y - 30.0, z), (32.0, 36.0, 56.0)).distance)
    return cut(bulk, _under_dome(torso), _inside_wall(torso, 6.0), hollow, blend_mm=8.0)


def _kidney(variation: Variation, rise: float, side: float, height_mm: float) -> Part:
    size = variation.size("kidneys")
    x, y, z = _moved(variation, (side * 54.0, 52.0, height_mm), 0.6 * rise)
    hilum = outside(ellipsoid((x - side * 26.0, y - 8.0, z), (15.0, 12.0, 18.0)).distance)
    return cut(ellipsoid((x, y, z), (26.0 * size, 23.0 * size, 52.0 * size)), hilum, blend_mm=5.0)


def _colon(torso: Torso, variation: Variation) -> Solid:
    """The left bend and the transverse part, with pouches."""
    curve = spline(variation.moved(_COLON))
    radii = 15.0 + 2.5 * np.sin(np.arange(len(curve)) * 1.9)
    return tuple(cut(part, _inside_wall(torso, 8.0)) for part in tube(curve, radii.tolist()))


def _moved(variation: Variation, point: Point, rise: float) -> Point:
    x, y, z = variation.moved(np.array([point]))[0].tolist()
    return x, y, z + rise
