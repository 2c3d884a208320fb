import math

import pytest
import torch

from samereg.errors import GeometryError
from samereg.ops.fields import compose, exponential, invert, invert_at, jacobian_determinant, squarings_for
from samereg.ops.sample import identity_grid

SHAPE = (14, 17, 20)


def smooth_field(shape=SHAPE, amplitude_vox=1.0):
    """Waves of about a lattice length, faded to zero at the border."""
    d, h, w = identity_grid(shape).double().unbind(-1)
    field = torch.stack([torch.sin(h / 4) * torch.cos(w / 5), torch.cos(d / 4), torch.sin(w / 4 + d / 6)])
    for axis, n in enumerate(shape):
        fade = torch.sin(torch.linspace(0, math.pi, n, dtype=torch.float64))
        field = field * fade.reshape([-1 if axis == k else 1 for k in range(3)])
    return (amplitude_vox * field)[None]


def test_composing_constant_shifts_adds_them():
    first = torch.tensor([1.0, 0.0, -2.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    then = torch.tensor([0.5, 3.0, 0.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    torch.testing.assert_close(compose(first, then), first + then)


def test_composing_reads_the_second_where_the_first_has_led():
    first = torch.zeros(1, 3, *SHAPE)
    first[:, 2] = 3.0
    then = torch.zeros(1, 3, *SHAPE)
    then[:, 0] = identity_grid(SHAPE)[..., 2]
    composed = compose(first, then)
    assert float(composed[0, 0, 5, 5, 4]) == 7.0
    assert float(composed[0, 0, 5, 5, -1]) == SHAPE[2] - 1


def test_a_field_and_its_inverse_compose_to_nothing():
    field = smooth_field()
    inversion = invert(field, tolerance_vox=1e-4)
    assert float(inversion.residual_vox.abs().max()) <= 1e-4
    # v + u(y + v) is read exactly where it was solved; the other order interpolates the inverse.
    torch.testing.assert_close(compose(inversion.field, field), torch.zeros_like(field), atol=2e-4, rtol=0)
    assert float(compose(field, inversion.field).abs().max()) < 0.1


def test_inverting_a_batch_inverts_each():
    batch = torch.cat([smooth_field(), smooth_field(amplitude_vox=-0.5)])
    together = invert(batch).field
    torch.testing.assert_close(together[1:], invert(batch[1:]).field)


def test_inverse_at_points_off_the_lattice_is_exact():
    field = smooth_field()[0]
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 13
    inversion = invert_at(field, points, tolerance_vox=1e-5)
    assert inversion.field.shape == (3, 200)
    assert float(inversion.residual_vox.abs().max()) <= 1e-5
    assert inversion.iterations < 50


def test_the_iteration_limit_is_kept_and_the_rest_reported():
    inversion = invert_at(smooth_field()[0], torch.full((1, 3), 7.3, dtype=torch.float64), iterations=2)
    assert inversion.iterations == 2
    assert float(inversion.residual_vox.abs().max()) > 1e-3


def test_jacobian_of_nothing_is_one_and_of_a_mirror_is_negative():
    still = torch.zeros(2, 3, *SHAPE)
    assert torch.equal(jacobian_determinant(still), torch.ones(2, *SHAPE))
    mirror = torch.zeros(1, 3, *SHAPE)
    mirror[:, 1] = -2.0 * identity_grid(SHAPE)[..., 1]
    torch.testing.assert_close(jacobian_determinant(mirror), -torch.ones(1, *SHAPE))


def test_jacobian_of_a_linear_field_is_its_determinant_at_the_border_too():
    matrix = torch.tensor([[0.1, 0.2, 0.0], [-0.1, 0.05, 0.3], [0.2, 0.0, -0.2]], dtype=torch.float64)
    field = (identity_grid(SHAPE).double() @ matrix.T).movedim(-1, 0)[None]
    expected = torch.linalg.det(matrix + torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(jacobian_determinant(field), expected.expand(1, *SHAPE))


def test_jacobian_needs_two_voxels_an_axis():
    with pytest.raises(GeometryError, match="at least two voxels"):
        jacobian_determinant(torch.zeros(1, 3, 1, 5, 5))


def test_jacobian_and_composition_pass_gradients():
    field = smooth_field((3, 4, 3), amplitude_vox=0.2).requires_grad_()
    assert torch.autograd.gradcheck(jacobian_determinant, (field,))
    then = field.detach().clone()
    # A shift by a third of a voxel keeps every position off the kinks at voxel centres.
    assert torch.autograd.gradcheck(lambda u: compose(u + 0.3, then), (field,))


def test_flowing_along_a_constant_velocity_is_a_shift():
    velocity = torch.tensor([1.0, 0.0, -2.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    torch.testing.assert_close(exponential(velocity, squarings=5), velocity)


def test_flowing_back_undoes_the_flow():
    velocity = smooth_field(amplitude_vox=1.0)
    there, back = (exponential(sign * velocity, squarings=7) for sign in (1.0, -1.0))
    left = compose(there, back)
    # trilinear interpolation errs by up to |u''| / 8 = 0.01 voxels in each of the last steps
    assert float(left[:, :, 2:-2, 2:-2, 2:-2].abs().max()) < 0.04


def test_a_flow_folds_nowhere_where_its_velocity_as_a_displacement_does():
    velocity = smooth_field(amplitude_vox=7.0)
    assert float(jacobian_determinant(velocity).min()) < 0
    flow = exponential(velocity, squarings=squarings_for(velocity))
    assert float(jacobian_determinant(flow).min()) > 0


def test_longer_velocities_get_more_squarings():
    field = torch.ones(1, 3, 4, 4, 4)
    counts = [squarings_for(field * scale) for scale in (0.0, 0.01, 1.0, 2.0, 16.0)]
    assert counts == [1, 1, 3, 4, 7]


def test_gradients_of_a_flow_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    field = (0.4 * torch.rand(1, 3, 3, 4, 3, dtype=torch.float64, generator=generator) + 0.2).requires_grad_()
    # away from the border, where the continuation by border values has a kink
    inner = (slice(None), slice(None), 0, slice(0, 2), 0)
    assert torch.autograd.gradcheck(lambda v: exponential(v, squarings=3)[inner], (field,))


def swirl(angle):
    """Turns the middle of a lattice by an angle, less and less outwards: no fold, but no contraction either."""
    shape = (12, 40, 40)
    away = identity_grid(shape).double()[..., 1:] - 19.5
    turn = angle * torch.exp(-0.5 * (away.norm(dim=-1) / 6.0) ** 2)
    h, w = away.unbind(-1)
    moved_h, moved_w = h * turn.cos() - w * turn.sin(), h * turn.sin() + w * turn.cos()
    return torch.stack([torch.zeros_like(h), moved_h - h, moved_w - w])


@pytest.mark.parametrize("degrees", [60, 100, 140])
def test_a_swirl_is_inverted_however_far_it_turns(degrees):
    field = swirl(math.radians(degrees))
    assert float(jacobian_determinant(field[None]).min()) > 0.2
    inversion = invert(field[None], tolerance_vox=1e-4)
    assert float(inversion.residual_vox.norm(dim=1).max()) <= 2e-4
