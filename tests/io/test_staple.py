"""STAPLE of ITK, on label maps of tensors."""

import pytest
import torch
from torch import Tensor

from samereg.errors import InputError
from samereg.io.staple import staple


def cube(size: int, value: int = 2) -> Tensor:
    labels = torch.zeros(16, 16, 16, dtype=torch.int64)
    labels[4 : 4 + size, 4 : 4 + size, 4 : 4 + size] = value
    return labels


def test_maps_that_agree_come_back() -> None:
    assert torch.equal(staple([cube(6), cube(6), cube(6)]), cube(6))


def test_a_rater_that_disagrees_with_all_others_is_not_believed() -> None:
    wrong = cube(6).roll(5, dims=0)
    assert torch.equal(staple([cube(6), cube(6), cube(6), wrong]), cube(6))


def test_maps_without_a_label_have_none_fused() -> None:
    assert int(staple([cube(0), cube(0)]).max()) == 0


def test_labels_that_itk_cannot_hold_are_refused() -> None:
    with pytest.raises(InputError, match="-1 to 2"):
        staple([cube(6), cube(6, -1)])
