"""Inverses at single points are as exact as the map, and domains are where fields are."""

import pytest
import torch

from laws import GRIDS, every_grid, points_around, points_inside, rotation, smooth_displacement
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.domain import deep_in_domain, domain_points, field_grid, in_domain
from samereg.geometry.grid import Grid, axis_aligned_grid, refined, respaced, strided
from samereg.geometry.pointwise import invert_at_points
from samereg.geometry.spline import Spline
from samereg.geometry.velocity import Velocity

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
EXACT_MM = 1e-3


@every_grid
def test_every_point_comes_home(grid: Grid) -> None:
    points = points_inside(grid, margin_vox=0.01)
    bend = smooth_displacement(grid)
    flow = Velocity(grid=grid, data=smooth_displacement(grid, fades=True).data)
    for transform in (TURN, bend, chain(bend, TURN), chain(flow, TURN)):
        found = invert_at_points(transform, transform.apply(points))
        assert float((found.points_mm - points).norm(dim=1).max()) < EXACT_MM
        assert float(found.residual_mm.max()) < EXACT_MM


def test_far_from_the_field_the_identity_is_undone() -> None:
    grid = GRIDS["LPS"]
    far = points_around(grid, 20, margin_vox=0.0) + 1000.0
    transform = chain(smooth_displacement(grid), TURN)
    found = invert_at_points(transform, transform.apply(far))
    torch.testing.assert_close(found.points_mm, far, atol=EXACT_MM, rtol=0)


def test_a_place_that_nothing_reaches_keeps_its_residual() -> None:
    grid = axis_aligned_grid((8, 8, 8), (4.0, 4.0, 4.0))
    flat = Affine.from_parts(torch.diag(torch.tensor([1.0, 1.0, 1e-3], dtype=torch.float64)), torch.zeros(3).double())
    squeeze = Displacement(grid=grid, data=torch.zeros(3, *grid.shape))
    squeeze.data[2] = -(grid.spacing_mm[0] * torch.arange(8.0))[:, None, None] + 10.0
    target = torch.tensor([[10.0, 10.0, 25.0]], dtype=torch.float64)
    found = invert_at_points(squeeze, target)
    # Everything between the faces lands on the plane z = 10; the nearest place beyond is the face itself, z = 30.
    assert float(found.residual_mm) > 4.9
    assert float(invert_at_points(flat, target).residual_mm) < EXACT_MM


@every_grid
def test_the_domain_is_where_every_field_is(grid: Grid) -> None:
    bend = smooth_displacement(grid)
    transform = chain(TURN, bend)
    inside = TURN.inverse().apply(points_inside(grid))
    assert bool(in_domain(transform, inside).all())
    assert not bool(in_domain(transform, inside + 1000.0).any())
    assert bool(in_domain(TURN, inside + 1000.0).all())
    assert field_grid(transform) is bend.grid
    middle = TURN.inverse().apply(bend.grid.centre_mm[None])
    assert bool(deep_in_domain(transform, middle, margin_mm=2.0).all())
    assert not bool(deep_in_domain(transform, middle, margin_mm=1000.0).any())
    assert field_grid(TURN) is None
    samples = domain_points(transform, 300)
    assert len(samples) == 300
    assert bool(in_domain(transform, samples).all())


@pytest.mark.parametrize("name", list(GRIDS))
def test_a_spline_of_equal_coefficients_is_a_shift_where_it_is_complete(name: str) -> None:
    grid = strided(GRIDS[name], 2)
    shift = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    spline = Spline(grid=grid, data=shift[:, None, None, None].expand(3, *grid.shape).clone())
    points = points_inside(grid, margin_vox=1.01)
    torch.testing.assert_close(spline.apply(points), points + shift)
    outside = points_inside(grid) + 1000.0
    assert torch.equal(spline.apply(outside), outside)
    inverse = spline.inverse()
    middle = points_inside(grid, margin_vox=4.0)
    torch.testing.assert_close(inverse.apply(middle + shift), middle, atol=1e-2, rtol=0)


@every_grid
def test_refined_and_respaced_grids_lie_on_the_old_ones(grid: Grid) -> None:
    fine = refined(grid, 3)
    place = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(fine.to_world(3.0 * place), grid.to_world(place))
    assert fine.shape == tuple(3 * (n - 1) + 1 for n in grid.shape)
    other = respaced(grid, (2.0, 4.0, 3.0))
    assert other.spacing_mm == pytest.approx((2.0, 4.0, 3.0))
    torch.testing.assert_close(other.centre_mm, grid.centre_mm)
    torch.testing.assert_close(other.direction, grid.direction)
