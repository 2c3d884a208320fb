"""Wide kernels reproduce what they promise: the voxels themselves, and smooth functions between them."""

import pytest
import torch

from samereg.ops.kernels import sample_kernel

POINTS = 3.0 + 5.0 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def smooth(points: torch.Tensor) -> torch.Tensor:
    d, h, w = points.unbind(-1)
    return torch.sin(0.5 * d) * torch.cos(0.4 * h) + 0.3 * torch.sin(0.6 * w + 1.0)


def sampled(function: object, shape: tuple[int, int, int] = (12, 12, 12)) -> torch.Tensor:
    index = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"), -1).double()
    return function(index)[None]


@pytest.mark.parametrize("kernel", ["cubic", "sinc"])
def test_voxels_keep_their_values(kernel: str) -> None:
    volume = torch.rand(2, 7, 8, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    index = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]], dtype=torch.float64)
    expected = torch.stack([volume[:, d, h, w] for d, h, w in index.long().tolist()], 1)
    torch.testing.assert_close(sample_kernel(volume, index, kernel=kernel), expected)


@pytest.mark.parametrize(("kernel", "within"), [("cubic", 0.01), ("sinc", 0.02)])
def test_smooth_functions_come_closer_than_by_linear_interpolation(kernel: str, within: float) -> None:
    error = (sample_kernel(sampled(smooth), POINTS, kernel=kernel)[0] - smooth(POINTS)).abs().max()
    assert float(error) < within  # linear: 0.06


def test_cubic_convolution_is_exact_for_quadratics() -> None:
    def quadratic(points: torch.Tensor) -> torch.Tensor:
        d, h, w = points.unbind(-1)
        return d * d - 2.0 * h * w + 0.5 * w * w + 3.0 * h

    found = sample_kernel(sampled(quadratic), POINTS, kernel="cubic")[0]
    torch.testing.assert_close(found, quadratic(POINTS), atol=1e-9, rtol=0)
