"""The embedding network: one CT in, local (fine) and global (deep) features out.

Source: SAM (Yan et al. 2020), as used in SAME section 2.1. Index units only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from samereg.nets.blocks import Conv, TopDown


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """Features of one batch before the heads.

    Cell `i` of a map of stride `s` is centred on voxel `s * i` of the input.
    """

    local: Float[Tensor, "b cl dl hl wl"]
    global_: Float[Tensor, "b cg dg hg wg"]


class EmbeddingNet(nn.Module):
    """Residual trunk, two feature pyramids, two linear heads.

    The heads are linear and thus commute with interpolation: `project_local` and `project_global` embed
    sampled rows, which is sufficient for training and sparse matching.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        local: TopDown,
        global_: TopDown,
        levels: tuple[slice, slice],
        dimensions: int,
    ) -> None:
        """Compose the network from its parts.

        Args:
            trunk: maps the input to feature maps, fine to coarse, at strides 2, 4, 8, 16.
            local: pyramid of the local head.
            global_: pyramid of the global head.
            levels: trunk levels of each of the two pyramids.
            dimensions: of each embedding.
        """
        super().__init__()
        self.trunk, self.local, self.global_ = trunk, local, global_
        self.local_levels, self.global_levels = levels
        self.local_head = Conv(local.smooth.weight.shape[0], dimensions, kernel=1)
        self.global_head = Conv(global_.smooth.weight.shape[0], dimensions, kernel=1)

    @property
    def strides(self) -> tuple[int, int]:
        """Voxels per cell of the local and the global features."""
        return 2 ** (1 + (self.local_levels.start or 0)), 2 ** (1 + (self.global_levels.start or 0))

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> Features:
        """Features before the heads, for an input in (-1, 1) of any size."""
        maps = self.trunk(x)
        return Features(local=self.local(maps[self.local_levels]), global_=self.global_(maps[self.global_levels]))

    def project_local(self, rows: Float[Tensor, "n c"]) -> Float[Tensor, "n e"]:
        """Unit-length local embeddings of feature rows."""
        return _project(rows, self.local_head)

    def project_global(self, rows: Float[Tensor, "n c"]) -> Float[Tensor, "n e"]:
        """Unit-length global embeddings of feature rows."""
        return _project(rows, self.global_head)


class Trunk(nn.Module):
    """Stem of stride 2 and stages of residual blocks; each stage after the first halves the resolution."""

    def __init__(self, stem: nn.Module, stages: list[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> tuple[Tensor, ...]:
        """Features of every stage, fine to coarse."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


def _project(rows: Tensor, head: Conv) -> Tensor:
    weight = head.weight.flatten(1).to(rows.dtype)
    projected = functional.linear(rows, weight, head.bias.to(rows.dtype))
    return functional.normalize(projected.float(), dim=-1).to(rows.dtype)


def rows_of(features: Float[Tensor, "c d h w"]) -> Float[Tensor, "v c"]:
    """Features as one row per voxel; a view if the map is channels-last."""
    return features.permute(1, 2, 3, 0).reshape(-1, features.shape[0])


def shape_of(features: Float[Tensor, "c d h w"]) -> tuple[int, int, int]:
    """(d, h, w) of a feature map."""
    return features.shape[1], features.shape[2], features.shape[3]


def channels_last(x: Float[Tensor, "b c d h w"], dtype: torch.dtype) -> Float[Tensor, "b c d h w"]:
    """The input in channels-last layout and the given precision."""
    return x.to(dtype).contiguous(memory_format=torch.channels_last_3d)
