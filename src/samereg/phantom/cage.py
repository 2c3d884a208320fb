"""Rib cage of the template: ribs along the surface of the cavity, their cartilage, and the sternum."""

import numpy as np
from jaxtyping import Float64

from samereg.phantom.shapes import Curve, Part, Point, Solid, capsule, spline, tube
from samereg.phantom.spine import VERTEBRAE_MM, body_radii_mm, spine_y_mm
from samereg.phantom.torso import Profile

_RIBS = (
    # vertebra, fall to the front end (mm), angle of the front end (pi), distance from the cavity (mm)
    ("T1", 31.0, 0.80, 2.0),
    ("T2", 46.0, 0.81, 4.0),
    ("T3", 58.0, 0.80, 5.0),
    ("T4", 65.0, 0.79, 5.0),
    ("T5", 70.0, 0.78, 5.0),
    ("T6", 75.0, 0.76, 5.0),
    ("T7", 78.0, 0.74, 5.0),
    ("T8", 79.0, 0.70, 5.0),
    ("T9", 77.0, 0.64, 5.0),
    ("T10", 70.0, 0.57, 5.0),
    ("T11", 48.0, 0.42, 5.0),
    ("T12", 26.0, 0.27, 5.0),
)
_FRONT_MM = (82.0, 52.0, 31.0, 13.0, -3.0, -17.0, -28.0, -38.0, -44.0)
"""Height at which the cartilage of each of the first nine ribs ends, at the sternum or near it."""
_TRUE_RIBS = 7
_RIB_START = 0.20
"""Angle (pi) at which a rib leaves the transverse process and follows the cavity."""
_RIB_MM = 3.9
_CARTILAGE_MM = 4.2
_STEP_MM = 7.0


def ribs_and_cartilage(cavity: Profile) -> tuple[Solid, Solid]:
    """The bony ribs of both sides, and their cartilage."""
    bones: list[Part] = []
    cartilage: list[Part] = []
    for index in range(len(_RIBS)):
        for side in (-1.0, 1.0):
            arc = _arc(cavity, index, side)
            bones.extend(tube(_bone(arc, index, side), _RIB_MM, flatten=(1.0, 1.0, 0.62)))
            if index < len(_FRONT_MM):
                curve = _front(cavity, arc, index, side)
                cartilage.extend(tube(curve, _CARTILAGE_MM, flatten=(1.0, 1.0, 0.7)))
    return tuple(bones), tuple(cartilage)


def sternum(cavity: Profile) -> Solid:
    """Manubrium, body and xiphoid process."""
    curve = _sternum_curve(cavity)
    tip = _xiphoid_mm(curve)
    return (
        *tube(spline(curve[:4]), 6.0, flatten=(0.27, 1.0, 1.0)),
        capsule(curve[3] - [0.0, 0.0, 3.0], curve[4], (5.4, 5.2), flatten=(0.33, 1.0, 1.0)),
        *tube(spline(curve[4:]), 5.4, flatten=(0.30, 1.0, 1.0)),
        capsule(curve[-1], tip, (4.0, 2.6), flatten=(0.5, 1.0, 1.0)),
    )


def sternum_points(cavity: Profile) -> dict[str, Point]:
    """Notch at the top, angle between manubrium and body, tip of the xiphoid process."""
    curve = _sternum_curve(cavity)
    tip = _xiphoid_mm(curve)
    return {
        "sternal_notch": (0.0, float(curve[0, 1]), float(curve[0, 2]) + 6.0),
        "sternal_angle": (0.0, float(curve[3, 1]), float(curve[3, 2])),
        "xiphoid_tip": (0.0, float(tip[1]), float(tip[2])),
    }


def _arc(cavity: Profile, index: int, side: float) -> Curve:
    """The part of a rib that follows the cavity, falling from back to front."""
    vertebra, fall, front, distance_mm = _RIBS[index]
    t = np.linspace(0.0, 1.0, 8)
    angle = side * np.pi * (_RIB_START + (front - _RIB_START) * t)
    z = VERTEBRAE_MM[vertebra] + 5.0 - fall * (0.45 * t + 0.55 * t * t * (3.0 - 2.0 * t))
    return cavity.at_angle(z, angle, distance_mm)


def _bone(arc: Curve, index: int, side: float) -> Curve:
    height = VERTEBRAE_MM[_RIBS[index][0]] + 8.0
    wide, deep = body_radii_mm(height)
    middle = spine_y_mm(height)
    head = [side * (wide - 1.0), middle + 0.75 * deep, height - 1.0]
    neck = [side * 27.0, middle + deep + 11.0, height + 1.0]
    return spline(np.concatenate([[head, neck], arc]), step_mm=_STEP_MM)


def _front(cavity: Profile, arc: Curve, index: int, side: float) -> Curve:
    start = np.pi * _RIBS[index][2]
    end = np.pi * (0.955 if index < _TRUE_RIBS else 0.90)
    t = np.linspace(0.0, 1.0, 12)
    z = arc[-1, 2] + (_FRONT_MM[index] - arc[-1, 2]) * t**1.6
    return spline(cavity.at_angle(z, side * (start + (end - start) * t), _RIBS[index][3]), step_mm=_STEP_MM)


def _sternum_curve(cavity: Profile) -> Curve:
    heights = (88.0, 76.0, 62.0, 50.0, 30.0, 5.0, -20.0, -44.0)
    front = np.array([cavity.front_mm(z) - 7.5 for z in heights])
    # The manubrium leans back less than the cavity's top does.
    front[:3] = front[3] + np.array([20.0, 12.5, 5.0])
    return np.stack([np.zeros_like(front), front, np.array(heights)], axis=1)


def _xiphoid_mm(curve: Curve) -> Float64[np.ndarray, " 3"]:
    tip: Float64[np.ndarray, " 3"] = curve[-1] + np.array([0.0, 4.0, -20.0])
    return tip
