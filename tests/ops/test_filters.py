import pytest
import torch

from samereg.ops import filters
from samereg.ops.filters import box_mean, box_sum, dilate, erode, gaussian_smooth


def test_smoothing_has_the_asked_width():
    impulse = torch.zeros(1, 1, 31, 31, 31, dtype=torch.float64)
    impulse[0, 0, 15, 15, 15] = 1
    x = torch.arange(31.0, dtype=torch.float64) - 15
    smooth = gaussian_smooth(impulse, (2.0, 1.0, 0.0))[0, 0]
    assert torch.allclose(smooth.sum(), torch.ones((), dtype=torch.float64))
    # truncation at three sigmas takes 2.7 % of the variance
    assert abs((smooth.sum((1, 2)) * x**2).sum().sqrt() - 2.0) < 0.05
    assert (smooth.sum((0, 1)) * x**2).sum() == 0


def test_smoothing_leaves_constants_alone():
    constant = torch.full((1, 2, 5, 6, 7), 3.0)
    assert torch.allclose(gaussian_smooth(constant, (1.0, 2.0, 3.0)), constant)


def test_box_mean_at_the_border_counts_only_voxels_that_exist():
    x = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 1, 5, 4, 4)
    assert box_mean(x, 1)[0, 0, :, 0, 0].tolist() == [0.5, 1.0, 2.0, 3.0, 3.5]


def test_erosion_undoes_dilation_of_a_cube():
    mask = torch.zeros(11, 11, 11, dtype=torch.bool)
    mask[4:7, 4:7, 4:7] = True
    assert dilate(mask, 2).sum() == 7**3
    assert torch.equal(erode(dilate(mask, 2), 2), mask)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("slab", "planes"), [(1 << 18, 32), (200, 3)], ids=["at once", "in pieces"])
def test_box_sum_is_that_of_pooling(radius, slab, planes, monkeypatch):
    monkeypatch.setattr(filters, "SLAB_VALUES", slab)
    monkeypatch.setattr(filters, "BAND_PLANES", planes)
    x = torch.randn(2, 3, 10, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    width = 2 * radius + 1
    pooled = width**3 * torch.nn.functional.avg_pool3d(x, width, stride=1, padding=radius)
    torch.testing.assert_close(box_sum(x, radius), pooled)


def test_box_sum_is_its_own_adjoint():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, 1, 6, 5, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    torch.testing.assert_close((box_sum(x, 2) * y).sum(), (x * box_sum(y, 2)).sum())
