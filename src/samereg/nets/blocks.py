"""Convolutions and residual blocks of the networks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from samereg.ops.sample import upsample_aligned

RELU_GAIN = 1.7139588594436646
"""Inverse standard deviation of a unit normal after ReLU, which preserves variance (NF-ResNet)."""

VARIANCE_FLOOR = 1e-5


class Conv(nn.Module):
    """3-D convolution whose weight, an fp32 master copy, follows the dtype of its input; odd kernel, same padding."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def effective_weight(self) -> Float[Tensor, "o i k k k"]:
        """The weight used by the convolution."""
        return self.weight

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d2 h2 w2"]:
        """Convolved features; cell `i` of the output is centred on cell `stride * i` of the input."""
        weight = self.effective_weight().to(x.dtype, memory_format=torch.channels_last_3d)
        padding = self.weight.shape[-1] // 2
        return functional.conv3d(x, weight, self.bias.to(x.dtype), stride=self.stride, padding=padding)


class StandardisedConv(Conv):
    """Convolution with scaled weight standardisation: zero mean, unit gain through ReLU, learned gain.

    Replaces batch norm at no cost per voxel (docs/decisions/0001). Source: Brock et al.,
    "Characterizing signal propagation to close the performance gap in unnormalized ResNets" (2021), eq. 1.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel=kernel, stride=stride)
        self.gain = nn.Parameter(torch.ones(outputs))

    def effective_weight(self) -> Float[Tensor, "o i k k k"]:
        """Standardised weight, per output channel."""
        flat = self.weight.flatten(1)
        variance, mean = torch.var_mean(flat, dim=1, keepdim=True)
        scale = torch.rsqrt(variance * flat.shape[1] + VARIANCE_FLOOR) * RELU_GAIN
        return ((flat - mean) * (scale * self.gain[:, None])).view_as(self.weight)

    def folded(self) -> Conv:
        """The plain convolution with the same output."""
        outputs, inputs, kernel = self.weight.shape[:3]
        plain = Conv(inputs, outputs, kernel=kernel, stride=self.stride)
        plain.weight.data = self.effective_weight().detach().clone()
        plain.bias.data = self.bias.detach().clone()
        return plain


class NormalisedConv(nn.Module):
    """Convolution followed by batch norm, as in ResNet."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, kernel=kernel, stride=stride)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d2 h2 w2"]:
        """Convolved and normalised features."""
        normalised: Tensor = self.norm(self.conv(x))
        return normalised.to(x.dtype)

    def folded(self) -> Conv:
        """The plain convolution with the same output as this one in evaluation mode."""
        mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        outputs, inputs, kernel = self.conv.weight.shape[:3]
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        plain = Conv(inputs, outputs, kernel=kernel, stride=self.conv.stride)
        plain.weight.data = (self.conv.weight * scale.view(-1, 1, 1, 1, 1)).detach()
        plain.bias.data = ((self.conv.bias - mean) * scale + self.norm.bias).detach()
        return plain


class PlainBlock(nn.Module):
    """Pre-activation residual block without normalisation: `x + alpha * conv(relu(conv(relu(x))))`."""

    FIRST_ALPHA = 0.2

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = StandardisedConv(channels, channels)
        self.second = StandardisedConv(channels, channels)
        self.alpha = nn.Parameter(torch.tensor(self.FIRST_ALPHA))

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """Refined features, same shape."""
        inner = functional.relu(self.first(functional.relu(x)), inplace=True)
        return torch.addcmul(x, self.second(inner), self.alpha.to(x.dtype))


class BasicBlock(nn.Module):
    """ResNet's basic block: two normalised convolutions and a shortcut (projected where the shape changes)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = NormalisedConv(inputs, outputs, stride=stride)
        self.second = NormalisedConv(outputs, outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else NormalisedConv(inputs, outputs, kernel=1, stride=stride)

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d2 h2 w2"]:
        """Features after the block's final ReLU."""
        inner = functional.relu(self.first(x))
        return functional.relu(self.second(inner) + self.shortcut(x))


class TopDown(nn.Module):
    """Feature pyramid: coarse levels are upsampled onto finer ones and the finest is smoothed.

    Source: Lin et al., "Feature pyramid networks" (2017), with only its finest output.
    """

    def __init__(self, channels: tuple[int, ...], *, width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Conv(c, width, kernel=1) for c in channels)
        self.smooth = Conv(width, width)

    def forward(self, levels: tuple[Float[Tensor, "..."], ...]) -> Float[Tensor, "b c d h w"]:
        """Merged features at the resolution of `levels[0]`, levels given from fine to coarse."""
        merged = self.laterals[-1](levels[-1])
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            size = (level.shape[2], level.shape[3], level.shape[4])
            merged = lateral(level) + upsample_aligned(merged, size)
        return functional.relu(self.smooth(functional.relu(merged)), inplace=True)


def fold(module: nn.Module) -> None:
    """Replaces convolutions by equivalent plain ones, in place; for evaluation only."""
    for name, child in module.named_children():
        if isinstance(child, StandardisedConv | NormalisedConv):
            setattr(module, name, child.folded())
        else:
            fold(child)
