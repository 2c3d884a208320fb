"""Prepared scans and pairs, the input of the stages: model space, body mask, embedding."""

import time
from dataclasses import dataclass, field, replace

from jaxtyping import Bool
from torch import Tensor

from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import from_window, to_model_space
from samereg.matching.embed import EmbeddedVolume, Embedder
from samereg.matching.landmarks import Landmarks, no_landmarks
from samereg.matching.points import grid_points
from samereg.matching.search import Candidates, Search, candidates
from samereg.ops.ambient import own_torch


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedScan:
    """A scan prepared for registration.

    Attributes:
        volume: the scan as read, in HU on its own grid.
        model: the scan in model space: 2 mm, axis-aligned LPS, values in (-1, 1).
        body: body mask on the grid of `model`.
        embedded: its embedding.
        places: candidates for matches in it.
        seconds: preparation time; 0 if it came from a store.
        mask: voxels where matches and similarities count, on the grid of `model`; None for everywhere.
    """

    volume: Volume
    model: Volume
    body: Bool[Tensor, "d h w"]
    embedded: EmbeddedVolume
    places: Candidates
    seconds: float = 0.0
    mask: Bool[Tensor, "d h w"] | None = None

    @property
    def counted(self) -> Bool[Tensor, "d h w"]:
        """Voxels of the patient where matches and similarities count."""
        return self.body if self.mask is None else self.body & self.mask.to(self.body.device)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Input of every stage.

    Attributes:
        fixed: the fixed scan.
        moving: the scan to be aligned with the fixed one.
        embedder: for stages that embed again.
        landmarks: pairs of points that every stage trusts, in the worlds of both scans.
    """

    fixed: PreparedScan
    moving: PreparedScan
    embedder: Embedder
    landmarks: Landmarks = field(default_factory=no_landmarks)


@own_torch()
def prepare_scan(volume: Volume, embedder: Embedder) -> PreparedScan:
    """Prepares a CT in HU.

    Raises:
        InputError: it shows no body.
    """
    began = time.perf_counter()
    prepared = prepare_model(to_model_space(volume), embedder, volume=volume)
    return replace(prepared, seconds=time.perf_counter() - began)


def prepare_model(model: Volume, embedder: Embedder, *, volume: Volume) -> PreparedScan:
    """Prepares a scan that is already in model space.

    Args:
        model: the scan in model space.
        embedder: the anatomical embedding.
        volume: the scan as read.

    Raises:
        InputError: it shows no body.
    """
    body = body_mask(from_window(model))  # before the expensive embedding
    return _with_places(model, body, embedder.embed(model), volume)


def prepared_model(model: Volume, embedded: EmbeddedVolume, *, volume: Volume) -> PreparedScan:
    """Prepares a scan in model space whose embedding is known; see `prepare_model`."""
    return _with_places(model, body_mask(from_window(model)), embedded, volume)


def _with_places(model: Volume, body: Bool[Tensor, "d h w"], embedded: EmbeddedVolume, volume: Volume) -> PreparedScan:
    places = candidates(embedded, grid_points(model.grid, body=body, stride_vox=Search().stride_vox))
    return PreparedScan(volume=volume, model=model, body=body, embedded=embedded, places=places)
