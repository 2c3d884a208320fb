"""Anatomical embeddings of scans: computed once, queried at any points."""

from dataclasses import dataclass
from math import sqrt
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.nets.blocks import fold
from samereg.nets.embedding import EmbeddingNet, channels_last, rows_of, shape_of
from samereg.nets.precision import fastest_dtype
from samereg.ops.ambient import own_torch, plain_torch
from samereg.ops.sample import gather_linear
from samereg.weights.registry import read_weights


@runtime_checkable
class Heads(Protocol):
    """Projection of feature rows to unit-length embeddings."""

    def project_local(self, rows: Float[Tensor, "n c"]) -> Float[Tensor, "n e"]:
        """Local embeddings of local feature rows."""

    def project_global(self, rows: Float[Tensor, "n c"]) -> Float[Tensor, "n e"]:
        """Global embeddings of global feature rows."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddedVolume:
    """Features of one scan, from which the embedding of any point can be computed.

    Attributes:
        grid: model-space grid that was embedded.
        local: feature map before the local head, channels last in memory.
        global_: the same before the global head.
        strides: voxels of `grid` per cell of `local` and `global_`; cell `i` lies at voxel `stride * i`.
        heads: the linear heads; they commute with interpolation.
    """

    grid: Grid
    local: Float[Tensor, "cl dl hl wl"]
    global_: Float[Tensor, "cg dg hg wg"]
    strides: tuple[int, int]
    heads: Heads

    def local_at(self, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, "n e"]:
        """Unit-length local embeddings at world points; clamped to the border outside the scan."""
        points = self.grid.to_index(points_mm).float().to(self.local.device) / self.strides[0]
        return self.heads.project_local(gather_linear(rows_of(self.local), shape_of(self.local), points))

    def global_at(self, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, "n e"]:
        """Unit-length global embeddings at world points; clamped to the border outside the scan."""
        points = self.grid.to_index(points_mm).float().to(self.global_.device) / self.strides[1]
        return self.heads.project_global(gather_linear(rows_of(self.global_), shape_of(self.global_), points))

    def at(self, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, "n e"]:
        """Joint unit-length embeddings: their inner product is the mean of local and global cosine."""
        joint = torch.cat([self.local_at(points_mm), self.global_at(points_mm)], 1)
        return joint * sqrt(0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedderRecord:
    """Identity of an embedding, for run records.

    Attributes:
        name: shipped name or path.
        checksum: SHA-256 of the weights file.
        network: architecture.
        precision: number format on the device.
    """

    name: str
    checksum: str
    network: str
    precision: str


@runtime_checkable
class Embedder(Protocol):
    """Interface of embeddings: maps a model-space scan to features, by a network or a descriptor."""

    @property
    def record(self) -> EmbedderRecord:
        """Its identity, for run records and as part of the key of stored features."""

    def embed(self, model: Volume) -> EmbeddedVolume:
        """Features of a model-space scan."""

    def restore(
        self, grid: Grid, local: Float[Tensor, "cl dl hl wl"], global_: Float[Tensor, "cg dg hg wg"]
    ) -> EmbeddedVolume:
        """Rebuilds features from their two stored maps; see `EmbeddedVolume`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NetEmbedder:
    """The trained network as an embedder.

    Attributes:
        net: folded, in evaluation mode, on `device`.
        device: on which features are computed and kept.
        dtype: data type of the computation.
        record: its identity, for run records.
    """

    net: EmbeddingNet
    device: torch.device
    dtype: torch.dtype
    record: EmbedderRecord

    @plain_torch()
    def embed(self, model: Volume) -> EmbeddedVolume:
        """Features of a whole model-space scan; needs about 180 bytes per voxel in bfloat16."""
        with torch.inference_mode():
            image = channels_last(model.data[None].to(self.device), self.dtype)
            features = self.net(image)
        return self._embedded(model.grid, features.local[0], features.global_[0])

    def restore(
        self, grid: Grid, local: Float[Tensor, "cl dl hl wl"], global_: Float[Tensor, "cg dg hg wg"]
    ) -> EmbeddedVolume:
        """Rebuilds features from their two stored maps, on the device and in its memory layout."""
        maps = (channels_last(each[None].to(self.device), self.dtype)[0] for each in (local, global_))
        return self._embedded(grid, *maps)

    def _embedded(self, grid: Grid, local: Tensor, global_: Tensor) -> EmbeddedVolume:
        return EmbeddedVolume(grid=grid, local=local, global_=global_, strides=self.net.strides, heads=self.net)


@own_torch()
def load_embedder(name: str = "compact", *, device: str = "cpu") -> NetEmbedder:
    """Loads a shipped embedding by name, or a trained one by path.

    Args:
        name: `compact`, or the path of a safetensors file.
        device: cpu, cuda or cuda:N.

    Raises:
        WeightsError: missing, damaged, or of another network.
    """
    weights = read_weights(name)
    place = torch.device(device)
    dtype = fastest_dtype(place)
    fold(weights.net)
    record = EmbedderRecord(
        name=weights.name,
        checksum=weights.checksum,
        network=weights.network,
        precision=str(dtype).removeprefix("torch."),
    )
    return NetEmbedder(net=weights.net.to(place), device=place, dtype=dtype, record=record)


@plain_torch()
def embed(model: Volume, embedder: Embedder) -> EmbeddedVolume:
    """Features of a model-space scan (2 mm, window to (-1, 1))."""
    return embedder.embed(model)
