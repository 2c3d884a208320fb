import pytest
import torch

from laws import assert_inverse_undoes, every_grid, points_inside, smooth_displacement
from samereg.errors import GeometryError
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import jacobian_determinant_mm
from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.geometry.velocity import Velocity


def flow_of(grid, amplitude_mm=8.0):
    return Velocity(grid=grid, data=smooth_displacement(grid, amplitude_mm=amplitude_mm, fades=True).data)


@every_grid
def test_the_negated_velocity_is_the_inverse(grid):
    flow = flow_of(grid)
    # Both flows are trilinear between voxels: h^2 / 8 * |u''| with h = 7 mm, |u''| = 0.02 / mm, each way.
    assert_inverse_undoes(flow, flow.inverse(), points_inside(grid, 2000), tolerance_mm=0.3)


@every_grid
def test_folds_nowhere_where_the_displacement_of_that_size_does(grid):
    flow = flow_of(grid, amplitude_mm=90.0)
    assert float(jacobian_determinant_mm(Displacement(grid=grid, data=flow.data)).min()) < 0
    assert float(jacobian_determinant_mm(flow.displacement).min()) > 0


@every_grid
def test_a_point_flows_along_a_rotation_about_the_middle(grid):
    spin = torch.tensor([[0.0, -0.4, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    velocity = ((voxel_centres_mm(grid) - grid.centre_mm) @ spin.T).movedim(-1, 0)
    points = points_inside(grid, margin_vox=8.0)
    expected = grid.centre_mm + (points - grid.centre_mm) @ torch.linalg.matrix_exp(spin).T
    moved = Velocity(grid=grid, data=velocity).apply(points)
    # Scaling and squaring starts with one explicit step of at most a quarter voxel.
    assert float((moved - expected).norm(dim=1).max()) < 0.02 * float((expected - points).norm(dim=1).max())


def test_small_velocities_are_displacements():
    grid = axis_aligned_grid((6, 6, 6))
    data = 1e-4 * torch.randn(3, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Velocity(grid=grid, data=data).displacement.data, data, atol=1e-7, rtol=1e-3)


def test_data_that_does_not_fit_its_grid_is_refused():
    with pytest.raises(GeometryError, match="does not fit"):
        Velocity(grid=axis_aligned_grid((4, 5, 6)), data=torch.zeros(3, 4, 5, 5))
