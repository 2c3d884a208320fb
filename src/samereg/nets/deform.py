"""Networks that predict a field from two aligned images and the correlation of their embeddings, in index units.

Fields are defined at every second voxel of the images: cell `i` at voxel `2 i`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from samereg.nets.blocks import Conv, PlainBlock, StandardisedConv
from samereg.ops.sample import upsample_aligned

FIRST_FIELD = 1e-4
"""Standard deviation of the initial weights of field heads: training starts near the identity."""

LEAK = 0.2
"""Negative slope of the leaky ReLU, as in VoxelMorph."""


class FieldHead(Conv):
    """Convolution to a field, in single precision, because bfloat16 cannot represent subvoxel displacements."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 3)
        nn.init.normal_(self.weight, std=FIRST_FIELD)

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b 3 d h w"]:
        """The field, cells along (d, h, w)."""
        field: Tensor = super().forward(x).float()
        return field


class ConvBlock(nn.Module):
    """Convolution and leaky ReLU, repeated `depth` times, the first with the stride."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, depth: int = 1) -> None:
        super().__init__()
        first = Conv(inputs, outputs, stride=stride)
        self.convs = nn.ModuleList([first, *(Conv(outputs, outputs) for _ in range(depth - 1))])

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d2 h2 w2"]:
        """Features."""
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), LEAK, inplace=True)
        return x


class ResidualBlock(nn.Module):
    """Strided convolution and a residual refinement, without normalisation layers (docs/decisions/0001)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.down = StandardisedConv(inputs, outputs, stride=stride)
        self.refine = PlainBlock(outputs)

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d2 h2 w2"]:
        """Features after a ReLU."""
        return functional.relu(self.refine(self.down(x)))


class DeformNet(nn.Module):
    """Base of all deformation networks: an encoder with the correlation before its third block, and a decoder.

    Abstract: subclasses implement the decoder.
    """

    def __init__(self, encoder: list[nn.Module], *, lift: nn.Module | None) -> None:
        """Compose the network from its parts.

        Args:
            encoder: blocks, fine to coarse; the third takes the correlation in addition to the second's channels.
            lift: downsamples the correlation from the field's lattice to the third block's input; None for a
                network without correlation.
        """
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.lift = lift

    @property
    def takes_correlation(self) -> bool:
        """Whether the network takes the correlation of embeddings besides the images."""
        return self.lift is not None

    def encode(self, images: Tensor, correlation: Tensor | None) -> list[Tensor]:
        """Features of every block."""
        maps: list[Tensor] = []
        x = images
        for number, block in enumerate(self.encoder):
            if number == CORRELATED_BLOCK and self.lift is not None and correlation is not None:
                x = torch.cat([x, self.lift(correlation.to(x.dtype))], 1)
            x = block(x)
            maps.append(x)
        return maps


CORRELATED_BLOCK = 2
"""Index of the block before which the correlation is concatenated: the third (SAME, section 3)."""


class PHNN(DeformNet):
    """Progressive holistically nested network: each level refines the field of the level below it.

    Source: Harrison et al., "Progressive and multi-path holistically nested neural networks" (2017), as SAME's
    backbone. Side outputs are fields here: from deep to shallow, each adds a residual at its resolution to the
    upsampled field of the deeper level, and takes that level's refined features.
    """

    def __init__(
        self, encoder: list[nn.Module], *, lift: nn.Module | None, channels: tuple[int, ...], width: int
    ) -> None:
        """Compose the network from its parts.

        Args:
            encoder: blocks, fine to coarse, each halving the resolution but the first.
            lift: see `DeformNet`.
            channels: of the encoder blocks from the second, the field's lattice, on.
            width: channels of the refined features.
        """
        super().__init__(encoder, lift=lift)
        deeper = [width] * (len(channels) - 1) + [0]
        self.merges = nn.ModuleList(StandardisedConv(c + d, width) for c, d in zip(channels, deeper, strict=True))
        self.sides = nn.ModuleList(FieldHead(width) for _ in channels)

    def forward(
        self, images: Float[Tensor, "b 2 d h w"], correlation: Float[Tensor, "b n d2 h2 w2"] | None
    ) -> Float[Tensor, "b 3 d2 h2 w2"]:
        """Field at every second voxel, in cells."""
        levels = self.encode(images, correlation)[-len(self.sides) :]
        state: Tensor | None = None
        field: Tensor | None = None
        for level, merge, side in zip(reversed(levels), reversed(self.merges), reversed(self.sides), strict=True):
            size = (level.shape[2], level.shape[3], level.shape[4])
            joined = level if state is None else torch.cat([level, upsample_aligned(state, size)], 1)
            state = functional.relu(merge(joined))
            found = side(state)
            field = found if field is None else 2.0 * upsample_aligned(field, size) + found
        return field if field is not None else images.new_zeros(())


class UNet(DeformNet):
    """Encoder, decoder with skip connections, and final convolutions on the field's lattice."""

    def __init__(
        self, encoder: list[nn.Module], decoder: list[nn.Module], tail: nn.Module, *, lift: nn.Module | None, width: int
    ) -> None:
        """Compose the network from its parts.

        Args:
            encoder: blocks, fine to coarse.
            decoder: blocks, coarse to fine, one fewer than levels from the field's lattice on; after each the map
                is upsampled and joined with the features of its level.
            tail: last block, on the field's lattice.
            lift: see `DeformNet`.
            width: output channels of the tail.
        """
        super().__init__(encoder, lift=lift)
        self.decoder = nn.ModuleList(decoder)
        self.tail = tail
        self.head = FieldHead(width)

    def forward(
        self, images: Float[Tensor, "b 2 d h w"], correlation: Float[Tensor, "b n d2 h2 w2"] | None
    ) -> Float[Tensor, "b 3 d2 h2 w2"]:
        """Field at every second voxel, in cells."""
        *skips, x = self.encode(images, correlation)
        for block, skip in zip(self.decoder, reversed(skips[-len(self.decoder) :]), strict=True):
            size = (skip.shape[2], skip.shape[3], skip.shape[4])
            x = torch.cat([upsample_aligned(block(x), size), skip], 1)
        field: Tensor = self.head(self.tail(x))
        return field
