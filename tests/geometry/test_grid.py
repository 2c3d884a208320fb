import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laws import GRIDS, every_grid, grid_from_directions, points_around, rotation, signed_axes
from samereg.errors import GeometryError
from samereg.geometry.grid import (
    Grid,
    axis_aligned_grid,
    bounding_grid,
    padded,
    slab_centres_mm,
    strided,
    voxel_centres_mm,
)


@every_grid
def test_world_and_index_undo_each_other(grid):
    points = points_around(grid)
    torch.testing.assert_close(grid.to_world(grid.to_index(points)), points, atol=1e-9, rtol=0)


@every_grid
def test_voxel_centres_are_the_world_positions_of_integers(grid):
    centres = voxel_centres_mm(grid)
    assert centres.shape == (*grid.shape, 3)
    torch.testing.assert_close(centres[3, 5, 7], grid.to_world(torch.tensor([3.0, 5.0, 7.0])))
    torch.testing.assert_close(slab_centres_mm(grid, 2, 6), centres[2:6], atol=1e-12, rtol=0)


@every_grid
def test_spacing_direction_and_origin_rebuild_the_affine(grid):
    torch.testing.assert_close(grid.direction * torch.tensor(grid.spacing_mm), grid.affine[:3, :3])
    torch.testing.assert_close(grid.origin_mm, grid.affine[:3, 3])
    assert grid.is_orthonormal
    assert grid.size == grid.shape[0] * grid.shape[1] * grid.shape[2]


def test_axis_aligned_grid_runs_d_along_z_and_w_along_x():
    grid = axis_aligned_grid((3, 4, 5), (3.0, 2.0, 1.0), (10.0, 20.0, 30.0))
    position = grid.to_world(torch.tensor([1.0, 2.0, 3.0]))
    assert position.tolist() == [10.0 + 3.0, 20.0 + 4.0, 30.0 + 3.0]
    assert grid.spacing_mm == (3.0, 2.0, 1.0)
    assert grid.extent_mm == (9.0, 8.0, 5.0)
    assert grid.centre_mm.tolist() == [12.0, 23.0, 33.0]


def test_contains_stops_half_a_voxel_beyond_the_outermost_centres():
    grid = axis_aligned_grid((4, 4, 4), (2.0, 2.0, 2.0))
    points = torch.tensor([[-0.9, 0.0, 0.0], [-1.1, 0.0, 0.0], [6.9, 6.0, 6.0], [3.0, 3.0, 7.1]])
    assert grid.contains(points).tolist() == [True, False, True, False]
    assert grid.contains(points, margin_vox=0.0).tolist() == [False] * 4


@every_grid
def test_bounding_grid_holds_every_voxel_centre(grid):
    bounding = bounding_grid(grid, spacing_mm=2.5)
    assert bool(bounding.contains(voxel_centres_mm(grid), margin_vox=1e-6).all())
    torch.testing.assert_close(bounding.direction, signed_axes(1.0, 1.0, 1.0))
    wider = bounding_grid(grid, spacing_mm=2.5, margin_mm=10.0)
    torch.testing.assert_close(wider.origin_mm, bounding.origin_mm - 10.0)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    spacing_mm=st.floats(0.3, 7.0),
    origin=st.tuples(*[st.floats(-500.0, 500.0)] * 3),
)
def test_bounding_grid_of_such_a_grid_is_the_grid(shape, spacing_mm, origin):
    grid = axis_aligned_grid(shape, (spacing_mm,) * 3, origin)
    assert bounding_grid(grid, spacing_mm=spacing_mm).is_close(grid)


def test_strided_keeps_the_first_voxel_and_rounds_up():
    grid = GRIDS["oblique"]
    coarse = strided(grid, 3)
    assert coarse.shape == (7, 8, 10)
    torch.testing.assert_close(voxel_centres_mm(coarse), voxel_centres_mm(grid)[::3, ::3, ::3])


@every_grid
def test_padded_leaves_old_voxels_in_place(grid):
    wider = padded(grid, (1, 2, 3), (4, 5, 6))
    inner = voxel_centres_mm(wider)[1:-4, 2:-5, 3:-6]
    torch.testing.assert_close(inner, voxel_centres_mm(grid), atol=1e-9, rtol=0)


def test_is_close_tells_grids_apart():
    grid = GRIDS["oblique"]
    assert grid.is_close(Grid(shape=grid.shape, affine=grid.affine + 1e-7 * torch.eye(4, dtype=torch.float64)))
    moved = grid.affine.clone()
    moved[0, 3] += 0.01
    assert not grid.is_close(Grid(shape=grid.shape, affine=moved))
    assert not grid.is_close(strided(grid, 2))


def test_the_affine_is_copied_in():
    affine = torch.eye(4, dtype=torch.float64)
    grid = Grid(shape=(2, 2, 2), affine=affine)
    affine[0, 0] = 5.0
    assert grid.spacing_mm == (1.0, 1.0, 1.0)


def test_shear_is_allowed_and_reported():
    directions = signed_axes(1.0, 1.0, 1.0)
    directions[1, 0] = 0.2
    assert not grid_from_directions(directions).is_orthonormal
    assert grid_from_directions(rotation((1.0, 0.0, 0.0), 3.0)).is_orthonormal


@pytest.mark.parametrize(
    ("shape", "row", "sentence"),
    [
        ((0, 2, 2), [1.0, 0.0, 0.0, 0.0], "at least one voxel"),
        ((2, 2, 2), [0.0, 0.0, 0.0, 0.0], "positive spacing"),
        ((2, 2, 2), [0.0, 1.0, 0.0, 0.0], "three independent axes|positive spacing"),
        ((2, 2, 2), [float("nan"), 0.0, 0.0, 0.0], "finite"),
    ],
)
def test_refuses_what_is_no_lattice(shape, row, sentence):
    affine = torch.eye(4, dtype=torch.float64)
    affine[0] = torch.tensor(row, dtype=torch.float64)
    with pytest.raises(GeometryError, match=sentence):
        Grid(shape=shape, affine=affine)


def test_refuses_axes_in_one_plane():
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, 0] = affine[:3, 1] + affine[:3, 2]
    with pytest.raises(GeometryError, match="three independent axes"):
        Grid(shape=(2, 2, 2), affine=affine)


@pytest.mark.parametrize("spacing", [0.0, -1.0])
def test_axis_aligned_grid_refuses_spacing_that_is_not_positive(spacing):
    with pytest.raises(GeometryError, match="positive spacing"):
        axis_aligned_grid((2, 2, 2), (1.0, spacing, 1.0))
