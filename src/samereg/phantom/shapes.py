"""Implicit shapes: signed distances (mm, negative inside) with bounding boxes.

Distances are first-order: exact on the surface and accurate to a few per cent near it, where they are used.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from scipy.interpolate import CubicSpline

Array = Float32[np.ndarray, "..."]
Distance = Callable[[Array, Array, Array], Array]
Point = tuple[float, float, float]
Curve = Float64[np.ndarray, "_ 3"]
"""Points along a line, in order."""

_TINY = 1e-6
_STEP_MM = 6.0
"""Length of the straight pieces of a tube."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One piece of a shape: signed distance of points (x, y, z), and a box outside which it is positive."""

    low_mm: Float64[np.ndarray, " 3"]
    high_mm: Float64[np.ndarray, " 3"]
    distance: Distance


Solid = tuple[Part, ...]
"""Union of parts."""


def ellipsoid(
    centre_mm: Sequence[float] | Float64[np.ndarray, " 3"],
    radii_mm: Sequence[float],
    *,
    axes: Float64[np.ndarray, "3 3"] | None = None,
) -> Part:
    """Ellipsoid; the columns of ``axes`` are the directions of the radii (world axes where not given)."""
    centre = np.asarray(centre_mm, dtype=np.float64)
    turn = np.eye(3) if axes is None else axes
    reach = np.sqrt(((turn * np.asarray(radii_mm)) ** 2).sum(axis=1))
    rows = _numbers((turn / np.asarray(radii_mm)).T)
    inverse = _numbers(1.0 / np.asarray(radii_mm))
    distance = partial(_ellipsoid_distance, centre=_numbers(centre), rows=rows, inverse=inverse)
    return Part(low_mm=centre - reach, high_mm=centre + reach, distance=distance)


def capsule(
    start_mm: Float64[np.ndarray, " 3"],
    end_mm: Float64[np.ndarray, " 3"],
    radii_mm: tuple[float, float],
    *,
    flatten: Point = (1.0, 1.0, 1.0),
) -> Part:
    """Round-ended cone from start to end; ``flatten`` < 1 widens the cross-section along that axis."""
    squash = np.asarray(flatten)
    reach = max(radii_mm) / squash
    distance = partial(
        _capsule_distance,
        line=_numbers(np.stack([squash, start_mm * squash, (end_mm - start_mm) * squash])),
        radii=radii_mm,
    )
    low, high = np.minimum(start_mm, end_mm), np.maximum(start_mm, end_mm)
    return Part(low_mm=low - reach, high_mm=high + reach, distance=distance)


def tube(curve_mm: Curve, radii_mm: float | Sequence[float], *, flatten: Point = (1.0, 1.0, 1.0)) -> Solid:
    """Tube along a curve that is already dense; one radius for all, or one for each point."""
    radii = np.broadcast_to(np.asarray(radii_mm, dtype=np.float64), len(curve_mm))
    return tuple(
        capsule(curve_mm[i], curve_mm[i + 1], (float(radii[i]), float(radii[i + 1])), flatten=flatten)
        for i in range(len(curve_mm) - 1)
    )


def spline(knots_mm: Sequence[Sequence[float]] | Curve, *, step_mm: float = _STEP_MM) -> Curve:
    """Smooth curve through knots, sampled about every ``step_mm``."""
    knots = np.asarray(knots_mm, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    count = max(2, int(np.ceil(along[-1] / step_mm)) + 1)
    if len(knots) == 2:
        return np.linspace(knots[0], knots[1], count)
    curve: Curve = CubicSpline(along, knots, bc_type="natural")(np.linspace(0.0, along[-1], count))
    return curve


def grown(parts: Iterable[Part], offset_mm: float) -> Solid:
    """The parts with their surface moved outward by an offset (inward where negative)."""
    return tuple(
        Part(
            low_mm=part.low_mm - offset_mm,
            high_mm=part.high_mm + offset_mm,
            distance=partial(_grown_distance, part=part, offset_mm=offset_mm),
        )
        for part in parts
    )


def cut(part: Part, *others: Distance, blend_mm: float = 0.0) -> Part:
    """The part inside all of the other distances (their intersection), edges rounded by ``blend_mm``."""

    def distance(x: Array, y: Array, z: Array) -> Array:
        result = part.distance(x, y, z)
        for other in others:
            result = smooth_max(result, other(x, y, z), blend_mm)
        return result

    return Part(low_mm=part.low_mm, high_mm=part.high_mm, distance=distance)


def outside(distance: Distance) -> Distance:
    """The complement: negative where the given distance is positive."""

    def negated(x: Array, y: Array, z: Array) -> Array:
        return -distance(x, y, z)

    return negated


def half_space(normal: Sequence[float], through_mm: Sequence[float]) -> Distance:
    """Negative on the side away from the normal."""
    length = float(np.linalg.norm(normal))
    nx, ny, nz = (float(v) / length for v in normal)
    level = nx * float(through_mm[0]) + ny * float(through_mm[1]) + nz * float(through_mm[2])

    def distance(x: Array, y: Array, z: Array) -> Array:
        result: Array = nx * x + ny * y + nz * z - level
        return result

    return distance


def smooth_max(first: Array, second: Array, blend_mm: float) -> Array:
    """Maximum with a rounded corner of about ``blend_mm`` (never below the maximum)."""
    larger: Array = np.maximum(first, second)
    if blend_mm <= 0.0:
        return larger
    overlap = np.maximum(blend_mm - np.abs(first - second), 0.0)
    larger += overlap * overlap * (0.25 / blend_mm)
    return larger


def smooth_min(first: Array, second: Array, blend_mm: float) -> Array:
    """Minimum with a filled corner of about ``blend_mm`` (never above the minimum)."""
    return -smooth_max(-first, -second, blend_mm)


def union_distance(parts: Sequence[Part], points_mm: Float64[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
    """Distance of points to the union of parts; infinite where no parts are given."""
    x, y, z = points_mm.T.astype(np.float32)
    result = np.full(len(points_mm), np.inf, dtype=np.float32)
    for part in parts:
        np.minimum(result, part.distance(x, y, z), out=result)
    return result


# Shapes come by the thousand: their distances are plain functions with their numbers bound to them.


def _numbers(values: Float64[np.ndarray, "*n"]) -> Any:
    """Python floats, which leave single-precision arrays in single precision."""
    return values.tolist()


def _ellipsoid_distance(
    x: Array, y: Array, z: Array, *, centre: list[float], rows: list[list[float]], inverse: list[float]
) -> Array:
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    q = [row[0] * x + row[1] * y + row[2] * z for row in rows]
    near = np.sqrt(sum(v * v for v in q)) + _TINY
    slope = np.sqrt(sum((v * k) ** 2 for v, k in zip(q, inverse, strict=True))) + _TINY
    result: Array = near * (near - 1.0) / slope
    return result


def _capsule_distance(x: Array, y: Array, z: Array, *, line: list[list[float]], radii: tuple[float, float]) -> Array:
    squash, start, run = line
    x, y, z = (v * s - a for v, s, a in zip((x, y, z), squash, start, strict=True))
    inverse = 1.0 / max(sum(v * v for v in run), _TINY)
    t = np.clip((x * run[0] + y * run[1] + z * run[2]) * inverse, 0.0, 1.0)
    x, y, z = x - t * run[0], y - t * run[1], z - t * run[2]
    result: Array = np.sqrt(x * x + y * y + z * z) - (radii[0] + (radii[1] - radii[0]) * t)
    return result


def _grown_distance(x: Array, y: Array, z: Array, *, part: Part, offset_mm: float) -> Array:
    return part.distance(x, y, z) - offset_mm
