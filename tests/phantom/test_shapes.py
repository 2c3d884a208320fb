"""Distances of the implicit shapes against what geometry says."""

import numpy as np
import pytest

from samereg.phantom.shapes import (
    capsule,
    cut,
    ellipsoid,
    grown,
    half_space,
    outside,
    smooth_max,
    spline,
    tube,
    union_distance,
)


def _at(part, *point):
    x, y, z = (np.array([v], dtype=np.float32) for v in point)
    return float(part.distance(x, y, z)[0])


def test_distance_to_a_sphere_is_exact():
    ball = ellipsoid((1.0, 2.0, 3.0), (5.0, 5.0, 5.0))
    assert _at(ball, 1.0, 2.0, 11.0) == pytest.approx(3.0, abs=1e-4)
    assert _at(ball, 1.0, 4.0, 3.0) == pytest.approx(-3.0, abs=1e-4)


def test_turned_ellipsoid_is_zero_at_the_ends_of_its_axes_and_fits_its_box():
    angle = 0.7
    axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    part = ellipsoid((0.0, 0.0, 0.0), (9.0, 4.0, 2.0), axes=axes)
    for axis, radius in zip(axes.T, (9.0, 4.0, 2.0), strict=True):
        assert _at(part, *(radius * axis)) == pytest.approx(0.0, abs=1e-4)
    directions = np.random.default_rng(0).normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    surface = (directions * [9.0, 4.0, 2.0]) @ axes.T
    assert (surface >= part.low_mm - 1e-9).all()
    assert (surface <= part.high_mm + 1e-9).all()
    # The box is tight: some point of the surface comes near each face.
    assert (surface.max(axis=0) > part.high_mm - 0.2).all()


def test_capsule_is_a_cone_with_round_ends():
    part = capsule(np.zeros(3), np.array([10.0, 0.0, 0.0]), (2.0, 4.0))
    assert _at(part, -5.0, 0.0, 0.0) == pytest.approx(3.0, abs=1e-4)
    assert _at(part, 5.0, 7.0, 0.0) == pytest.approx(4.0, abs=1e-4)
    assert _at(part, 14.0, 0.0, 0.0) == pytest.approx(0.0, abs=1e-4)


def test_flattened_tube_is_wider_along_that_axis():
    parts = tube(spline([(0.0, 0.0, 0.0), (30.0, 0.0, 0.0)]), 4.0, flatten=(1.0, 1.0, 0.5))
    beside = np.array([[15.0, 4.0, 0.0], [15.0, 0.0, 8.0]])
    np.testing.assert_allclose(union_distance(parts, beside), 0.0, atol=1e-4)
    assert all((part.high_mm[2] >= 8.0) for part in parts)


def test_spline_goes_through_its_knots():
    knots = [(0.0, 0.0, 0.0), (20.0, 10.0, 0.0), (50.0, 0.0, 5.0)]
    curve = spline(knots, step_mm=0.5)
    for knot in knots:
        assert np.linalg.norm(curve - np.array(knot), axis=1).min() < 0.5


def test_cut_keeps_what_is_in_all():
    ball = ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    hole = ellipsoid((0.0, 0.0, 0.0), (3.0, 3.0, 3.0))
    half = cut(ball, half_space((0.0, 0.0, 2.0), (0.0, 0.0, 0.0)), outside(hole.distance))
    assert _at(half, 0.0, 0.0, -6.0) < 0.0
    assert _at(half, 0.0, 0.0, 6.0) > 0.0
    assert _at(half, 0.0, 0.0, -1.0) > 0.0


def test_grown_moves_the_surface_and_the_box():
    (part,) = grown((ellipsoid((0.0, 0.0, 0.0), (5.0, 5.0, 5.0)),), 2.0)
    assert _at(part, 7.0, 0.0, 0.0) == pytest.approx(0.0, abs=1e-4)
    assert part.high_mm.tolist() == [7.0, 7.0, 7.0]


def test_smooth_max_is_the_maximum_away_from_the_corner():
    first, second = np.float32([0.0, 5.0, 1.0]), np.float32([9.0, -5.0, 1.0])
    result = smooth_max(first, second, 4.0)
    assert result[:2].tolist() == [9.0, 5.0]
    assert 1.0 < result[2] < 3.0


def test_distances_stay_single_precision():
    part = cut(
        ellipsoid((0.0, 0.0, 0.0), (4.0, 5.0, 6.0)),
        half_space((1.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
        blend_mm=2.0,
    )
    x = np.zeros((2, 3, 4), dtype=np.float32)
    assert part.distance(x, x, x).dtype == np.float32
