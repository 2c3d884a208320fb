"""Training scans in memory: model-space intensities and body mask."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import from_window, to_model_space


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingScan:
    """A training scan.

    Attributes:
        name: for logs.
        volume: model space, values in (-1, 1), half precision to keep hundreds of scans in memory.
        body: body mask.
    """

    name: str
    volume: Volume
    body: Bool[Tensor, "d h w"]

    @property
    def intensity(self) -> Float[Tensor, "1 d h w"]:
        """Model-space values."""
        return self.volume.data


def prepare_scan(volume: Volume, *, name: str) -> TrainingScan:
    """Resamples a scan to model space and computes its body mask.

    Args:
        volume: CT in HU, any grid.
        name: for logs.

    Raises:
        InputError: the scan shows no body.
    """
    model = to_model_space(volume)
    body = body_mask(from_window(model))
    half = Volume(data=model.data.to(torch.float16), grid=model.grid, background=model.background)
    return TrainingScan(name=name, volume=half, body=body)
