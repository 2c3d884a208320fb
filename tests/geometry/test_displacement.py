import logging

import pytest
import torch

from laws import assert_inverse_undoes, every_grid, points_around, points_inside, smooth_displacement
from samereg.errors import GeometryError
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.displacement import Displacement, image_grid, invert_displacement, solve_inverse
from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm


@every_grid
def test_a_field_that_is_linear_in_the_world_is_exact_between_voxels(grid):
    matrix = torch.tensor([[0.02, 0.1, -0.03], [0.05, -0.04, 0.02], [0.01, 0.07, 0.03]], dtype=torch.float64)
    centre = grid.centre_mm
    data = ((voxel_centres_mm(grid) - centre) @ matrix.T).movedim(-1, 0)
    points = points_inside(grid)
    expected = points + (points - centre) @ matrix.T
    exact = Displacement(grid=grid, data=data).apply(points)
    torch.testing.assert_close(exact, expected, atol=1e-9, rtol=0)
    # In single precision a 100 mm field keeps about 1e-5 mm.
    single = Displacement(grid=grid, data=data.float()).apply(points)
    torch.testing.assert_close(single, expected, atol=1e-4, rtol=0)


@every_grid
def test_is_the_identity_beyond_half_a_voxel(grid):
    field = Displacement(grid=grid, data=torch.full((3, *grid.shape), 5.0))
    points = points_around(grid, 2000)
    moved = field.apply(points)
    inside = grid.contains(points)
    assert bool(inside.any())
    assert not bool(inside.all())
    assert torch.equal(moved[~inside], points[~inside])
    torch.testing.assert_close(moved[inside], points[inside] + 5.0, atol=1e-5, rtol=0)


def test_the_rim_belongs_to_the_field_at_its_low_side_alone():
    grid = axis_aligned_grid((4, 4, 4))
    field = Displacement(grid=grid, data=torch.ones(3, 4, 4, 4))
    low = torch.tensor([[-0.5, 1.0, 1.0]], dtype=torch.float64)
    high = torch.tensor([[3.5, 1.0, 1.0]], dtype=torch.float64)
    assert torch.equal(field.apply(low), low + 1.0)
    assert torch.equal(field.apply(high), high)


@every_grid
def test_inverse_undoes_a_smooth_field(grid):
    field = smooth_displacement(grid, fades=True)
    # Trilinear interpolation of the inverse: h^2 / 8 * |u''| with h = 7 mm, |u''| = 0.02 / mm.
    assert_inverse_undoes(field, field.inverse(), points_inside(grid, 2000), tolerance_mm=0.25)


@every_grid
def test_inverse_reaches_the_image_of_every_voxel(grid):
    field = smooth_displacement(grid)
    inverse = field.inverse()
    centres = voxel_centres_mm(grid).reshape(-1, 3)
    assert bool(inverse.grid.contains(field.apply(centres), margin_vox=0.0).all())
    error = inverse_consistency_mm(field, inverse, points_inside(grid, 2000))
    assert float(error.mean()) < 0.08
    assert float(error.max()) < 0.6


def test_inverse_at_its_own_voxels_meets_the_tolerance():
    grid = axis_aligned_grid((16, 16, 16), (4.0, 4.0, 4.0))
    solution = solve_inverse(smooth_displacement(grid), grid=grid, tolerance_mm=0.002)
    assert solution.converged
    assert solution.residual_mm <= 0.002
    assert solution.displacement.grid is grid


def test_inverts_a_stretch_beyond_twofold_and_a_strong_squeeze():
    grid = axis_aligned_grid((6, 6, 40), (4.0, 4.0, 4.0))
    x = voxel_centres_mm(grid)[..., 0]
    for factor in (1.6, -0.8):
        data = torch.zeros(3, *grid.shape)
        data[0] = (factor * (x - 80.0)).float()
        solution = solve_inverse(Displacement(grid=grid, data=data), grid=grid)
        assert solution.converged, factor


def test_an_inverse_that_misses_the_tolerance_warns(caplog):
    grid = axis_aligned_grid((16, 16, 16), (4.0, 4.0, 4.0))
    with caplog.at_level(logging.WARNING):
        invert_displacement(smooth_displacement(grid), iterations=2)
    assert "after 2 iterations; the field may fold" in caplog.text


def test_image_grid_of_a_shift_is_the_shifted_box_and_the_box():
    grid = axis_aligned_grid((10, 10, 10), (2.0, 2.0, 2.0))
    data = torch.zeros(3, 10, 10, 10)
    data[0] = 5.0
    data[2] = -3.0
    reached = image_grid(Displacement(grid=grid, data=data), margin_vox=0)
    assert reached.shape == (12, 10, 13)
    assert reached.origin_mm.tolist() == [0.0, 0.0, -4.0]


def test_refuses_data_that_does_not_fit_the_grid():
    with pytest.raises(GeometryError, match="does not fit"):
        Displacement(grid=axis_aligned_grid((4, 4, 4)), data=torch.zeros(3, 4, 4, 5))
