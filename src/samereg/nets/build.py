"""Construction of the networks; the only module that defines their sizes."""

from collections.abc import Callable

from torch import nn

from samereg.errors import UsageError
from samereg.nets.blocks import BasicBlock, NormalisedConv, PlainBlock, StandardisedConv, TopDown
from samereg.nets.deform import PHNN, ConvBlock, DeformNet, ResidualBlock, UNet
from samereg.nets.embedding import EmbeddingNet, Trunk

DIMENSIONS = 128
"""Dimensions of the local and global embedding (SAME, section 3)."""


def compact() -> EmbeddingNet:
    """The shipped network: no normalisation layers, global features at stride 8, local at stride 2."""
    channels = (32, 64, 128, 192)
    blocks = (1, 2, 2, 1)
    stages: list[nn.Module] = []
    for level, (width, count) in enumerate(zip(channels, blocks, strict=True)):
        down = [nn.ReLU(), StandardisedConv(channels[level - 1], width, stride=2)] if level else []
        stages.append(nn.Sequential(*down, *(PlainBlock(width) for _ in range(count))))
    return EmbeddingNet(
        Trunk(StandardisedConv(1, channels[0], stride=2), stages),
        local=TopDown(channels[:3], width=48),
        global_=TopDown(channels[2:], width=128),
        levels=(slice(0, 3), slice(2, 4)),
        dimensions=DIMENSIONS,
    )


def resnet18() -> EmbeddingNet:
    """The paper's network: ResNet-18 inflated to 3-D, pyramid over stages 1-3 (local), stage 4 (global)."""
    channels = (64, 128, 256, 512)
    stages: list[nn.Module] = []
    for level, width in enumerate(channels):
        before = channels[max(level - 1, 0)]
        first = BasicBlock(before, width, stride=2 if level else 1)
        stages.append(nn.Sequential(first, BasicBlock(width, width)))
    return EmbeddingNet(
        Trunk(nn.Sequential(NormalisedConv(1, channels[0], kernel=7, stride=2), nn.ReLU()), stages),
        local=TopDown(channels[:3], width=128),
        global_=TopDown(channels[3:], width=256),
        levels=(slice(0, 3), slice(3, 4)),
        dimensions=DIMENSIONS,
    )


NETWORKS: dict[str, Callable[[], EmbeddingNet]] = {"compact": compact, "resnet18": resnet18}


def build_embedding(name: str) -> EmbeddingNet:
    """Builds a network by name, initialised from torch's global generator.

    Raises:
        UsageError: an unknown name.
    """
    if name not in NETWORKS:
        raise UsageError(f"Unknown embedding network '{name}'; need one of {', '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]()


CORRELATIONS = 27
"""Displacements of the correlation feature, {-2, 0, 2}^3 (SAME, section 2.3)."""


def phnn(correlations: int) -> DeformNet:
    """The shipped network, SAME's backbone: blocks at strides 1, 2, 4, 8 and 16, field at stride 2."""
    channels = (16, 32, 64, 96, 128)
    encoder: list[nn.Module] = [nn.Sequential(StandardisedConv(2, channels[0]), nn.ReLU())]
    for level, width in enumerate(channels[1:], start=1):
        inputs = channels[level - 1] + (correlations if level == 2 else 0)
        encoder.append(ResidualBlock(inputs, width, stride=2))
    lift = nn.Identity() if correlations else None
    return PHNN(encoder, lift=lift, channels=channels[1:], width=48)


def voxelmorph_unet(correlations: int) -> DeformNet:
    """VoxelMorph's U-Net, 16-32-32-32 / 32-32-32-32-32-16-16, with a field at half resolution."""
    encoder: list[nn.Module] = [
        ConvBlock(2, 16, stride=2),
        ConvBlock(16, 32, stride=2),
        ConvBlock(32 + correlations, 32, stride=2),
        ConvBlock(32, 32, stride=2),
    ]
    decoder: list[nn.Module] = [ConvBlock(32, 32), ConvBlock(64, 32), ConvBlock(64, 32)]
    tail = nn.Sequential(ConvBlock(48, 32), ConvBlock(32, 32), ConvBlock(32, 16), ConvBlock(16, 16))
    # Its third block takes a map twice as coarse as the field.
    lift = ConvBlock(correlations, correlations, stride=2) if correlations else None
    return UNet(encoder, decoder, tail, lift=lift, width=16)


def unet(correlations: int) -> DeformNet:
    """3-D U-Net (Çiçek et al., 2016) with two convolutions per level, at strides 1 to 16, field at stride 2."""
    channels = (16, 32, 64, 128)
    encoder: list[nn.Module] = [ConvBlock(2, channels[0], depth=2)]
    for level, width in enumerate(channels[1:], start=1):
        inputs = channels[level - 1] + (correlations if level == 2 else 0)
        encoder.append(ConvBlock(inputs, width, stride=2, depth=2))
    decoder: list[nn.Module] = [ConvBlock(128, 64), ConvBlock(128, 64, depth=2)]
    lift = nn.Identity() if correlations else None
    return UNet(encoder, decoder, ConvBlock(96, 32, depth=2), lift=lift, width=32)


DEFORM_NETWORKS: dict[str, Callable[[int], DeformNet]] = {"phnn": phnn, "vm-unet": voxelmorph_unet, "unet": unet}


def build_deform(name: str, *, correlation: bool) -> DeformNet:
    """Builds a deformation network by name, initialised from torch's global generator.

    Args:
        name: `phnn`, `vm-unet` or `unet`.
        correlation: whether it takes the correlation of embeddings as input.

    Raises:
        UsageError: an unknown name.
    """
    if name not in DEFORM_NETWORKS:
        known = ", ".join(sorted(DEFORM_NETWORKS))
        raise UsageError(f"Unknown deformation network '{name}'; need one of {known}.")
    return DEFORM_NETWORKS[name](CORRELATIONS if correlation else 0)
