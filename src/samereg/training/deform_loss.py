"""Loss of SAM-VoxelMorph (SAME, eq. 4) of a batch of aligned crops."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samereg.nets.deform import DeformNet
from samereg.nets.embedding import channels_last
from samereg.objectives.regularity import diffusion, folding
from samereg.objectives.similarity import embedding_similarity, local_ncc, masked_mean
from samereg.ops.correlate import correlate
from samereg.ops.fields import exponential
from samereg.ops.sample import identity_grid, sample_grid, upsample_aligned
from samereg.training.aligned import CELL_VOX, CropBatch

Form = Literal["velocity", "displacement"]
"""Type of the output: a stationary velocity (SAME++) or a displacement (SAME)."""

SQUARINGS = 6
"""Squarings of a velocity in training: initial steps of 1/64 of its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformLossSettings:
    """Weights of the terms.

    Attributes:
        embedding: the paper's lambda, weight of the SAM loss; 0 disables it (variants vm and sam-corr).
        smoothness: the paper's gamma; larger is smoother.
        folding: weight of the folding penalty; not needed with velocities.
        window_radius: of the local NCC, voxels; the paper's window is 9.
    """

    embedding: float = 1.0
    smoothness: float = 0.5
    folding: float = 0.0
    window_radius: int = 4


class DeformLoss(NamedTuple):
    """The loss and its terms, for the log; a tuple, as Fabric's hooks require."""

    total: Float[Tensor, ""]
    ncc: Float[Tensor, ""]
    embedding: Float[Tensor, ""]
    roughness: Float[Tensor, ""]
    folding: Float[Tensor, ""]


class DeformModel(nn.Module):
    """The network, the field and its loss in one forward call, for distributed wrappers."""

    def __init__(self, net: DeformNet, settings: DeformLossSettings, form: Form, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.settings, self.form, self.dtype = net, settings, form, dtype

    def forward(self, batch: CropBatch) -> DeformLoss:
        """Loss of a batch: ``-NCC - lambda SAM + gamma smooth``, over the body in the common field of view.

        NCC and SAM are similarities, so their negatives are minimised (the paper's eq. 3 is printed without the
        sign). The compared images are not augmented.
        """
        settings = self.settings
        field = self._field(batch)
        fine = CELL_VOX * upsample_aligned(field, _size(batch.fixed))
        moved, seen = _warped(batch.moved, fine)
        moved_features, _ = _warped(batch.moved_features, field)
        mask = batch.mask * seen
        cells = mask[:, :, ::CELL_VOX, ::CELL_VOX, ::CELL_VOX]
        ncc = masked_mean(local_ncc(batch.fixed, moved, radius=settings.window_radius), mask)
        embedding = masked_mean(embedding_similarity(batch.fixed_features, moved_features), cells)
        roughness = diffusion(field, cells)
        folded = folding(field, cells)
        total = -ncc + settings.smoothness * roughness
        if settings.embedding:
            total = total - settings.embedding * embedding
        if settings.folding:
            total = total + settings.folding * folded
        return DeformLoss(total, ncc.detach(), embedding.detach(), roughness.detach(), folded.detach())

    def _field(self, batch: CropBatch) -> Float[Tensor, "b 3 d h w"]:
        """Displacement at every second voxel, in cells."""
        correlation = None
        if self.net.takes_correlation:
            maps = (channels_last(m, self.dtype) for m in (batch.fixed_features, batch.moved_features))
            correlation = channels_last(correlate(*maps), self.dtype)
        found: Tensor = self.net(channels_last(batch.inputs, self.dtype), correlation)
        return exponential(found, squarings=SQUARINGS) if self.form == "velocity" else found


def _size(images: Tensor) -> tuple[int, int, int]:
    return images.shape[2], images.shape[3], images.shape[4]


def _warped(volume: Tensor, displacement: Tensor) -> tuple[Tensor, Tensor]:
    """The warped volume, and 1 where it lies in the crop."""
    points = identity_grid(_size(volume), device=volume.device) + displacement.permute(0, 2, 3, 4, 1)
    limit = torch.tensor(volume.shape[2:], device=volume.device) - 1
    inside = ((points >= 0) & (points <= limit)).all(-1)[:, None].to(volume.dtype)
    return sample_grid(volume, points, clamp=True), inside
