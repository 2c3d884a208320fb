"""SAM-VoxelMorph: a trained network predicts the fine field of two roughly aligned scans (SAME, section 2.3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.estimate.aligned import AlignedScans
from samereg.nets.blocks import fold
from samereg.nets.deform import DeformNet
from samereg.nets.embedding import channels_last
from samereg.nets.precision import fastest_dtype
from samereg.ops.ambient import own_torch, plain_torch
from samereg.ops.correlate import correlate
from samereg.weights.deform import DeformHeader, read_deform_weights


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformerRecord:
    """Identity of a deformation network, for run records.

    Attributes:
        name: shipped name or path.
        checksum: SHA-256 of the weights file.
        header: of the weights file.
        precision: number format on the device.
    """

    name: str
    checksum: str
    header: DeformHeader
    precision: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Deformer:
    """A trained deformation network, ready to predict.

    Attributes:
        net: folded, in evaluation mode, on `device`.
        device: of the computation.
        dtype: data type of the computation.
        record: its identity, for run records.
    """

    net: DeformNet
    device: torch.device
    dtype: torch.dtype
    record: DeformerRecord

    @plain_torch()
    def predict(self, scans: AlignedScans) -> Float[Tensor, "1 3 d h w"]:
        """Velocity or displacement, according to `record.header.form`, at every cell; in cells along (d, h, w)."""
        with torch.inference_mode():
            correlation = None
            if self.net.takes_correlation:
                maps = (
                    channels_last(m[None].to(self.device), self.dtype)
                    for m in (scans.fixed_features, scans.moved_features)
                )
                correlation = channels_last(correlate(*maps), self.dtype)
            images = torch.stack([scans.fixed[0], scans.moved[0]])[None].to(self.device)
            field: Tensor = self.net(channels_last(images, self.dtype), correlation)
        return field.clone()


@own_torch()
def load_deformer(name: str, *, device: str = "cpu") -> Deformer:
    """Loads a shipped deformation network by name, or a trained one by path.

    Args:
        name: a shipped name, or the path of a safetensors file.
        device: cpu, cuda or cuda:N.

    Raises:
        WeightsError: missing, damaged, or of another kind of network.
    """
    weights = read_deform_weights(name)
    place = torch.device(device)
    dtype = fastest_dtype(place)
    fold(weights.net)
    record = DeformerRecord(
        name=weights.name,
        checksum=weights.checksum,
        header=weights.header,
        precision=str(dtype).removeprefix("torch."),
    )
    return Deformer(net=weights.net.to(place), device=place, dtype=dtype, record=record)
