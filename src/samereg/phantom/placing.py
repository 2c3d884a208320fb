"""Placement of the template's chest organs in one subject, before the warp of the whole body."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from samereg.phantom.shapes import Curve, Point, Solid, spline, tube
from samereg.phantom.variation import Variation

Place = Callable[[Sequence[Point]], Curve]
"""Template points to the subject's variant of the template."""

_HEART_MM = np.array([16.0, -20.0, -40.0])
_HEART_REACH_MM = 52.0
"""Points this near the heart's centre follow its size and rotation; farther ones less and less."""
_HEART_FOLLOWS = 0.55
"""Fraction of the diaphragm's motion followed by the heart."""


def placing(variation: Variation) -> Place:
    """The heart's size, rotation and sinking with the diaphragm near the heart, then the jitter of organs.

    One smooth map for all, so that vessels stay connected to their chambers.
    """
    sink = np.array([0.0, 0.0, _HEART_FOLLOWS * 0.5 * sum(variation.diaphragm_mm)])
    change = variation.heart * variation.heart_turn - np.eye(3)

    def place(points: Sequence[Point]) -> Curve:
        points_mm = np.asarray(points, dtype=np.float64)
        offset = points_mm - _HEART_MM
        near = np.exp(-0.5 * (offset**2).sum(axis=1, keepdims=True) / _HEART_REACH_MM**2)
        return variation.moved(points_mm + near * (offset @ change.T + sink))

    return place


def vessel(
    place: Place,
    knots: Sequence[Point],
    radius_mm: float,
    end_mm: float | None = None,
    *,
    flatten: Point = (1.0, 1.0, 1.0),
) -> Solid:
    """Tube through placed knots, its radius changing evenly to ``end_mm`` where one is given."""
    curve = spline(place(knots))
    radii = np.linspace(radius_mm, radius_mm if end_mm is None else end_mm, len(curve))
    return tube(curve, radii.tolist(), flatten=flatten)


def axes_along(direction: Sequence[float]) -> Float64[np.ndarray, "3 3"]:
    """Right-handed axes, as columns: the direction, a level one across, and the most upright one."""
    first = np.asarray(direction) / np.linalg.norm(direction)
    second = np.cross([0.0, 0.0, 1.0], first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)
