import copy

import pytest
import torch

from samereg.nets.blocks import BasicBlock, Conv, NormalisedConv, PlainBlock, StandardisedConv, TopDown, fold


def image(channels: int, size: int = 9) -> torch.Tensor:
    return torch.randn(2, channels, size, size, size, generator=torch.Generator().manual_seed(0))


def test_standardised_weights_have_zero_mean():
    conv = StandardisedConv(3, 5)
    assert conv.effective_weight().flatten(1).mean(1).abs().max() < 1e-6


def test_standardised_convolution_keeps_variance_through_relu():
    torch.manual_seed(0)
    x = image(64, 12)
    y = StandardisedConv(64, 64)(torch.relu(x))
    # the border loses padding's share; a third of the variance at most on so small a cube
    assert 0.6 < y.var().item() < 1.3


@pytest.mark.parametrize("kind", [StandardisedConv, NormalisedConv])
def test_folding_changes_nothing(kind):
    torch.manual_seed(0)
    module = torch.nn.Sequential(kind(4, 6, stride=2), torch.nn.ReLU(), kind(6, 6))
    module(image(4))  # lets batch norm gather statistics
    module.eval()
    folded = copy.deepcopy(module)
    fold(folded)
    assert all(isinstance(m, Conv | torch.nn.ReLU) for m in folded)
    assert not any(isinstance(m, StandardisedConv | torch.nn.BatchNorm3d) for m in folded.modules())
    assert torch.allclose(folded(image(4)), module(image(4)), atol=1e-5)


def test_plain_block_starts_near_the_identity():
    torch.manual_seed(0)
    x = image(32)
    assert ((PlainBlock(32)(x) - x).std() / x.std()).item() < 0.5


def test_basic_block_halves_with_stride_two():
    assert BasicBlock(4, 8, stride=2)(image(4)).shape == (2, 8, 5, 5, 5)


def test_pyramid_returns_the_finest_size():
    levels = (image(4, 9), image(6, 5), image(8, 3))
    assert TopDown((4, 6, 8), width=16)(levels).shape == (2, 16, 9, 9, 9)
