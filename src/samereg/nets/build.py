"""The one place where network sizes are chosen."""

from collections.abc import Callable

from torch import nn

from samereg.errors import UsageError
from samereg.nets.blocks import BasicBlock, NormalisedConv, PlainBlock, StandardisedConv, TopDown
from samereg.nets.embedding import EmbeddingNet, Trunk

DIMENSIONS = 128
"""Length of the local and of the global embedding (SAME, section 3)."""


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
    """A network by name, freshly initialised from torch's global generator.

    Raises:
        UsageError: no network has that name.
    """
    if name not in NETWORKS:
        raise UsageError(f"There is no embedding network '{name}'; known are {', '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]()
