import pytest
import torch

from samereg.ops.sample import gather_linear, identity_grid, sample_grid, upsample_aligned, warp

SHAPE = (7, 6, 5)


def linear_volume() -> torch.Tensor:
    """A volume whose value is 100 d + 10 h + w: trilinear interpolation is exact on it."""
    return (identity_grid(SHAPE) @ torch.tensor([100.0, 10.0, 1.0]))[None, None]


def points_inside(count: int = 40) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * (torch.tensor(SHAPE) - 1)


def test_sampling_a_linear_volume_is_exact():
    points = points_inside()
    found = sample_grid(linear_volume(), points[None])[0, 0]
    assert torch.allclose(found, points @ torch.tensor([100.0, 10.0, 1.0]), atol=1e-3)  # float32 at 600


def test_sampling_keeps_the_lattice_of_the_points():
    points = points_inside(24).reshape(1, 2, 3, 4, 3)
    assert sample_grid(linear_volume(), points).shape == (1, 1, 2, 3, 4)


def test_outside_value_is_returned_far_outside():
    far = torch.tensor([[[-5.0, 0.0, 0.0], [20.0, 2.0, 2.0]]])
    assert torch.allclose(sample_grid(linear_volume(), far, outside=-1024.0), torch.tensor(-1024.0))


def test_clamping_repeats_the_border():
    far = torch.tensor([[[-5.0, 2.0, 2.0]]])
    assert sample_grid(linear_volume(), far, clamp=True).item() == pytest.approx(22.0, abs=1e-4)


def test_bfloat16_volumes_are_sampled_at_exact_positions():
    volume = torch.arange(200.0).view(1, 1, 200, 1, 1).bfloat16()
    found = sample_grid(volume, torch.tensor([[[151.0, 0.0, 0.0]]]))
    assert found.item() == volume[0, 0, 151, 0, 0].item()


def test_gathering_equals_sampling():
    features = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))
    points = torch.cat([points_inside(), torch.tensor([[-1.0, 2.0, 9.0]])])
    rows = features.permute(1, 2, 3, 0).reshape(-1, 4)
    sampled = sample_grid(features[None], points[None], clamp=True)[0].T
    assert torch.allclose(gather_linear(rows, SHAPE, points), sampled, atol=1e-5)


def test_warping_by_one_voxel_shifts():
    displacement = torch.zeros(1, 3, *SHAPE)
    displacement[:, 2] = 1.0
    moved = warp(linear_volume(), displacement, clamp=True)
    assert torch.allclose(moved[..., :-1], linear_volume()[..., 1:], atol=1e-3)


@pytest.mark.parametrize("size", [(13, 11, 9), (14, 12, 10)])
def test_upsampling_keeps_cell_i_at_twice_its_index(size):
    coarse = linear_volume()
    fine = upsample_aligned(coarse, size)
    assert fine.shape[2:] == size
    assert torch.allclose(fine[..., ::2, ::2, ::2], coarse, atol=1e-3)
    assert torch.allclose(fine[0, 0, 1, 0, 0], coarse[0, 0, :2, 0, 0].mean(), atol=1e-3)
