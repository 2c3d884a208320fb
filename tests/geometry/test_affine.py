import pytest
import torch

from laws import GRIDS, assert_inverse_undoes, points_around, rotation
from samereg.errors import TransformError
from samereg.geometry.affine import Affine


def test_applies_linear_part_then_translation():
    linear = torch.tensor([[0.0, -2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    affine = Affine.from_parts(linear, torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64))
    moved = affine.apply(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    assert moved.tolist() == [[6.0, 21.0, 33.0]]
    assert torch.equal(affine.linear, linear)
    assert affine.translation_mm.tolist() == [10.0, 20.0, 30.0]


def test_inverse_undoes():
    linear = rotation((1.0, 1.0, 0.0), 30.0) * 1.2
    affine = Affine.from_parts(linear, torch.tensor([5.0, -70.0, 300.0], dtype=torch.float64))
    assert_inverse_undoes(affine, affine.inverse(), points_around(GRIDS["LPS"]), tolerance_mm=1e-9)


def test_identity_moves_nothing():
    points = points_around(GRIDS["LPS"])
    assert torch.equal(Affine.identity().apply(points), points)


def test_a_map_that_flattens_space_has_no_inverse():
    flat = Affine.from_parts(torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    with pytest.raises(TransformError, match="no inverse"):
        flat.inverse()


@pytest.mark.parametrize(("row", "value"), [(0, float("inf")), (3, 0.5)])
def test_refuses_a_matrix_that_is_no_affine_map(row, value):
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[row, 1] = value
    with pytest.raises(TransformError, match="affine"):
        Affine(matrix=matrix)
