"""An embedder for tests that ask for the same scans again and again."""

import hashlib
from dataclasses import dataclass, field

import torch

from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.matching.embed import EmbeddedVolume, Embedder, EmbedderRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class RememberingEmbedder:
    """Embeds as another does, each scan once."""

    other: Embedder
    known: dict[str, EmbeddedVolume] = field(default_factory=dict)

    @property
    def record(self) -> EmbedderRecord:
        return self.other.record

    def embed(self, model: Volume) -> EmbeddedVolume:
        content = hashlib.sha256(model.data.contiguous().numpy().tobytes())
        content.update(model.grid.affine.numpy().tobytes())
        key = content.hexdigest()
        if key not in self.known:
            self.known[key] = self.other.embed(model)
        return self.known[key]

    def restore(self, grid: Grid, local: torch.Tensor, global_: torch.Tensor) -> EmbeddedVolume:
        return self.other.restore(grid, local, global_)
