"""Two scans made ready for the stages: model space, body, embedding; each computed once."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import from_window, to_model_space
from samereg.matching.embed import EmbeddedVolume, Embedder
from samereg.matching.points import grid_points
from samereg.matching.search import Candidates, Search, candidates
from samereg.ops.ambient import own_torch


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedScan:
    """One scan as the stages see it.

    Attributes:
        model: model space: 2 mm, axis-aligned LPS, values in (-1, 1).
        body: voxels of the patient on the grid of `model`.
        embedded: its embedding.
        places: where matches may lie in it.
    """

    model: Volume
    body: Bool[Tensor, "d h w"]
    embedded: EmbeddedVolume
    places: Candidates


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """What every stage is given.

    Attributes:
        fixed: the scan that stays.
        moving: the scan to be aligned with it.
        embedder: for stages that embed again.
    """

    fixed: PreparedScan
    moving: PreparedScan
    embedder: Embedder


@own_torch()
def prepare_scan(volume: Volume, embedder: Embedder) -> PreparedScan:
    """A CT in HU, made ready.

    Raises:
        InputError: it holds no body.
    """
    return prepare_model(to_model_space(volume), embedder)


def prepare_model(model: Volume, embedder: Embedder) -> PreparedScan:
    """A scan in model space, made ready.

    Raises:
        InputError: it holds no body.
    """
    body = body_mask(from_window(model))
    embedded = embedder.embed(model)
    places = candidates(embedded, grid_points(model.grid, body=body, stride_vox=Search().stride_vox))
    return PreparedScan(model=model, body=body, embedded=embedded, places=places)
