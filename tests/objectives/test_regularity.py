import pytest
import torch

from samereg.objectives.regularity import bending, diffusion, folding, volume_change
from samereg.ops.sample import identity_grid

SHAPE = (5, 6, 7)


def linear_field(matrix):
    points = identity_grid(SHAPE).double()
    return (points @ torch.tensor(matrix, dtype=torch.float64).T).movedim(-1, 0)[None]


def ones():
    return torch.ones(1, 1, *SHAPE, dtype=torch.float64)


def inner():
    mask = torch.zeros(1, 1, *SHAPE, dtype=torch.float64)
    mask[:, :, 1:-1, 1:-1, 1:-1] = 1
    return mask


def test_diffusion_of_a_linear_field_is_its_squared_slope():
    matrix = [[0.1, 0.0, 0.2], [0.0, -0.3, 0.0], [0.4, 0.0, 0.0]]
    expected = sum(value**2 for row in matrix for value in row)
    assert float(diffusion(linear_field(matrix), inner())) == pytest.approx(expected)


def test_shifts_cost_nothing():
    shift = torch.ones(1, 3, *SHAPE)
    assert float(diffusion(shift, torch.ones(1, 1, *SHAPE))) == 0
    assert float(volume_change(shift)) == 0
    assert float(bending(shift)) == 0


def test_bending_of_an_affine_field_is_nothing():
    assert float(bending(linear_field([[0.1, 0.2, 0.0], [0.0, 0.3, 0.0], [0.1, 0.0, 0.5]]))) == pytest.approx(0)


def test_rotations_change_no_volume():
    spin = linear_field([[0.0, 0.2, 0.0], [-0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(volume_change(spin)) == pytest.approx(0)
    assert float(volume_change(linear_field([[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]))) > 0


def test_a_field_that_undoes_a_change_of_volume_costs_nothing():
    shrink = linear_field([[-0.1, 0, 0], [0, -0.1, 0], [0, 0, -0.1]])
    before = torch.full((1, 1, *SHAPE), 0.3, dtype=torch.float64)
    inside = float(volume_change(shrink[:, :, :-1, :-1, :-1] * 1.0, 0 * before[:, :, :-1, :-1, :-1]))
    assert float(volume_change(shrink, before)) < 0.5 * inside


def test_only_folds_are_penalised_as_folds():
    assert float(folding(linear_field([[-0.5, 0, 0], [0, 0, 0], [0, 0, 0]]), ones())) == 0
    # a mirror has determinant -1 everywhere
    assert float(folding(linear_field([[-2.0, 0, 0], [0, 0, 0], [0, 0, 0]]), ones())) == pytest.approx(1)


@pytest.mark.parametrize(
    "term", [volume_change, bending, lambda u: diffusion(u, inner()), lambda u: folding(u, ones())]
)
def test_gradients_are_those_of_finite_differences(term):
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(1, 3, *SHAPE, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(term, (field,))
