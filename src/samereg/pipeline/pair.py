"""Prepared scans and pairs, the input of the stages: model space, body mask, embedding."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from samereg.geometry.grid import Grid, padded
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import from_window, to_model_space
from samereg.matching.embed import EmbeddedVolume, Embedder
from samereg.matching.landmarks import Landmarks, no_landmarks
from samereg.matching.points import grid_points
from samereg.matching.search import Candidates, Search, candidates
from samereg.ops.ambient import own_torch

MARGIN_VOX = 8
"""Air kept around a body, 16 mm: what the scans that the networks were trained on have."""

PHASE_VOX = 16
"""A scan is cut at multiples of this, the coarsest stride of the networks, so that their cells stay where they were."""

MIN_SAVED_FRACTION = 0.1
"""Minimum fraction of the voxels that a cut has to remove; others are not made."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedScan:
    """A scan prepared for registration.

    Attributes:
        volume: the scan as read, in HU on its own grid.
        whole: grid of the whole scan in model space: 2 mm, axis-aligned LPS.
        model: the part of it around the body, values in (-1, 1).
        body: body mask on the grid of `model`.
        embedded: its embedding.
        places: candidates for matches in it.
        seconds: preparation time; 0 if it came from a store.
        mask: voxels where matches and similarities count, on the grid of `model`; None for everywhere.
    """

    volume: Volume
    whole: Grid
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
    return prepare_scan_by(volume, embedder.embed)


@own_torch()
def prepare_scan_by(volume: Volume, embed: Callable[[Volume], EmbeddedVolume]) -> PreparedScan:
    """Prepares a CT in HU with a given source of its embedding.

    Args:
        volume: CT in HU.
        embed: called with the part of the scan around the body, in model space; returns its embedding.

    Raises:
        InputError: it shows no body.
    """
    began = time.perf_counter()
    whole = to_model_space(volume)
    model, body = around_body(whole, body_mask(from_window(whole)))  # before the expensive embedding
    prepared = _with_places(model, body, embed(model), volume)
    return replace(prepared, whole=whole.grid, seconds=time.perf_counter() - began)


def prepare_model(model: Volume, embedder: Embedder, *, volume: Volume) -> PreparedScan:
    """Prepares a scan that is already in model space, uncropped.

    Args:
        model: the scan in model space.
        embedder: the anatomical embedding.
        volume: the scan as read.

    Raises:
        InputError: it shows no body.
    """
    return _with_places(model, body_mask(from_window(model)), embedder.embed(model), volume)


def around_body(model: Volume, body: Bool[Tensor, "d h w"]) -> tuple[Volume, Bool[Tensor, "d2 h2 w2"]]:
    """The part of a scan that holds its body and `MARGIN_VOX` around it, and the body there.

    The whole scan where little would be gained. Away from the cut, embeddings are what they are in the whole scan.

    Args:
        model: the scan in model space.
        body: its body, not empty.
    """
    ranges = [_kept_range(body, axis) for axis in range(3)]
    part = (slice(*ranges[0]), slice(*ranges[1]), slice(*ranges[2]))
    kept = body[part]
    if kept.numel() > (1.0 - MIN_SAVED_FRACTION) * body.numel():
        return model, body
    before = [-low for low, _ in ranges]
    after = [high - size for (_, high), size in zip(ranges, body.shape, strict=True)]
    grid = padded(model.grid, (before[0], before[1], before[2]), (after[0], after[1], after[2]))
    return replace(model, data=model.data[:, *part].contiguous(), grid=grid), kept.contiguous()


def _kept_range(body: Bool[Tensor, "d h w"], axis: int) -> tuple[int, int]:
    """First voxel along an axis that is kept, and the first that is not any more."""
    others = [other for other in range(3) if other != axis]
    filled = torch.nonzero(body.any(dim=others[1]).any(dim=others[0])).flatten().tolist()
    low = max(0, filled[0] - MARGIN_VOX) // PHASE_VOX * PHASE_VOX
    return low, min(body.shape[axis], filled[-1] + 1 + MARGIN_VOX)


def _with_places(model: Volume, body: Bool[Tensor, "d h w"], embedded: EmbeddedVolume, volume: Volume) -> PreparedScan:
    places = candidates(embedded, grid_points(model.grid, body=body, stride_vox=Search().stride_vox))
    return PreparedScan(volume=volume, whole=model.grid, model=model, body=body, embedded=embedded, places=places)
