import torch

from laws import GRIDS, every_grid, points_inside, rotation, smooth_displacement
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import (
    from_index_field,
    from_transform,
    jacobian_determinant_mm,
    resample_displacement,
    to_index_field,
)
from samereg.geometry.grid import bounding_grid, strided, voxel_centres_mm
from samereg.ops.sample import identity_grid


@every_grid
def test_index_field_takes_voxels_where_the_displacement_takes_points(grid):
    field = smooth_displacement(grid)
    moved_vox = identity_grid(grid.shape) + to_index_field(field)[0].movedim(0, -1)
    moved_mm = field.apply(voxel_centres_mm(grid))
    torch.testing.assert_close(grid.to_world(moved_vox), moved_mm, atol=1e-4, rtol=0)


@every_grid
def test_conversions_undo_each_other(grid):
    field = smooth_displacement(grid)
    again = from_index_field(to_index_field(field), grid)
    torch.testing.assert_close(again.data, field.data, atol=1e-5, rtol=0)


@every_grid
def test_sampled_transform_agrees_with_the_transform(grid):
    turn = Affine.from_parts(rotation((0.0, 1.0, 0.0), 5.0), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    sampled = from_transform(turn, grid)
    points = points_inside(grid)
    torch.testing.assert_close(sampled.apply(points), turn.apply(points), atol=1e-4, rtol=0)


@every_grid
def test_resampled_displacement_keeps_its_old_values_and_is_zero_beyond(grid):
    field = smooth_displacement(grid)
    again = resample_displacement(field, grid)
    torch.testing.assert_close(again.data, field.data, atol=1e-4, rtol=0)
    wider = bounding_grid(grid, spacing_mm=4.0, margin_mm=20.0)
    outside = ~grid.contains(voxel_centres_mm(wider), margin_vox=0.6)
    assert float(resample_displacement(field, wider).data[:, outside].abs().max()) == 0.0


@every_grid
def test_jacobian_of_an_affine_map_is_its_determinant(grid):
    linear = rotation((1.0, 0.0, 1.0), 10.0) @ torch.diag(torch.tensor([1.1, 0.9, 1.2], dtype=torch.float64))
    turn = Affine.from_parts(linear, torch.zeros(3, dtype=torch.float64))
    jacobian = jacobian_determinant_mm(from_transform(turn, grid, dtype=torch.float64))
    torch.testing.assert_close(jacobian, torch.full_like(jacobian, 1.1 * 0.9 * 1.2))


def test_sampling_a_chain_in_slabs_is_sampling_it_at_once(monkeypatch):
    field = smooth_displacement(strided(GRIDS["left-handed"], 2))
    both = chain(field, Affine.from_parts(torch.eye(3).double(), torch.ones(3, dtype=torch.float64)))
    whole = from_transform(both, field.grid)
    monkeypatch.setattr("samereg.geometry.fields._SLAB_VOXELS", 1)
    assert torch.equal(from_transform(both, field.grid).data, whole.data)
    assert isinstance(whole, Displacement)
