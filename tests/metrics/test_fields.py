import pytest
import torch

from samereg.errors import InputError
from samereg.metrics.fields import folded_fraction


def test_counts_determinants_of_zero_and_less_inside_the_mask_alone():
    jacobian = torch.ones(4, 4, 4)
    jacobian[0] = -1.0
    jacobian[1, 0] = 0.0
    mask = torch.zeros(4, 4, 4, dtype=torch.bool)
    mask[1] = True
    assert folded_fraction(jacobian, mask) == 0.25
    assert folded_fraction(jacobian, torch.ones_like(mask)) == 20 / 64


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="empty"):
        folded_fraction(torch.ones(2, 2, 2), torch.zeros(2, 2, 2, dtype=torch.bool))
