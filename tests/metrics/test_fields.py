import math

import pytest
import torch

from samereg.errors import InputError
from samereg.metrics.fields import folded_fraction, jacobian_std, log_jacobian_std, non_diffeomorphic_volume


def positions(shape=(6, 7, 8)):
    """Every voxel where it is, along (d, h, w)."""
    return torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"))


def everywhere(at):
    return torch.ones(at.shape[1:], dtype=torch.bool)


def test_counts_determinants_of_zero_and_less_inside_the_mask_alone():
    jacobian = torch.ones(4, 4, 4)
    jacobian[0] = -1.0
    jacobian[1, 0] = 0.0
    mask = torch.zeros(4, 4, 4, dtype=torch.bool)
    mask[1] = True
    assert folded_fraction(jacobian, mask) == 0.25
    assert folded_fraction(jacobian, torch.ones_like(mask)) == 20 / 64


def test_an_empty_mask_is_refused():
    empty = torch.zeros(2, 2, 2, dtype=torch.bool)
    for measure in (folded_fraction, jacobian_std, log_jacobian_std):
        with pytest.raises(InputError, match="empty"):
            measure(torch.ones(2, 2, 2), empty)
    with pytest.raises(InputError, match="none"):
        non_diffeomorphic_volume(positions((2, 2, 2)), empty)


def test_spread_is_that_of_the_masked_determinants():
    jacobian = torch.tensor([1.0, 3.0, 100.0]).reshape(3, 1, 1)
    mask = torch.tensor([True, True, False]).reshape(3, 1, 1)
    assert jacobian_std(jacobian, mask) == pytest.approx(math.sqrt(2.0))
    assert log_jacobian_std(jacobian, mask) == pytest.approx(math.log(3.0) / math.sqrt(2.0))


def test_a_fold_raises_the_spread_of_the_logarithm():
    jacobian = torch.ones(3, 3, 3)
    jacobian[1, 1, 1] = -0.5
    assert log_jacobian_std(jacobian, torch.ones(3, 3, 3, dtype=torch.bool)) > 3.0


def test_a_map_that_keeps_its_handedness_turns_nothing_inside_out():
    at = positions()
    linear = torch.tensor([[1.2, 0.3, 0.0], [-0.2, 0.9, 0.1], [0.0, 0.1, 0.7]], dtype=torch.float64)
    for mapped in (at, torch.einsum("ij,jdhw->idhw", linear, at)):
        assert non_diffeomorphic_volume(mapped, everywhere(at)) == (0.0, 0.0)


def test_a_mirror_turns_everything_inside_out():
    at = positions((3, 4, 5))
    mirrored = at.clone()
    mirrored[2] *= -2.0
    volume, share = non_diffeomorphic_volume(mirrored, everywhere(at))
    assert volume == pytest.approx(2 * 2 * 3 * 4)
    assert share == 1.0


def test_finds_a_fold_between_voxels_that_central_differences_miss():
    at = positions((5, 5, 9))
    mapped = at.clone()
    mapped[2, :, :, 4] += 1.5  # past its right neighbour: every cube to the right of it is inside out
    central = (mapped[2, :, :, 2:] - mapped[2, :, :, :-2]) / 2
    assert bool((central > 0).all())
    volume, _ = non_diffeomorphic_volume(mapped, everywhere(at))
    assert volume == pytest.approx(0.5 * 4 * 4)


def test_cubes_outside_the_mask_do_not_count():
    at = positions((4, 4, 6))
    mapped = at.clone()
    mapped[2, :, :, 4] += 1.5
    mask = everywhere(at)
    mask[:, :, 4:] = False
    assert non_diffeomorphic_volume(mapped, mask)[0] == 0.0
