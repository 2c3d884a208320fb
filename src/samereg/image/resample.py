"""Images and label maps carried onto another grid through a transform, each resampled once."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.ops.sample import linear_corners, sample_grid

SLAB_VOXELS = 1 << 18
"""Points mapped at once: positions in double precision stay in the cache."""

RIM_VOX = 0.5
"""As ITK: an image reaches half a voxel beyond its outermost voxel centres and is constant there."""

ImageMode = Literal["linear", "nearest"]
LabelMode = Literal["nearest", "per_label_linear"]


def resample_volume(moving: Volume, transform: Transform, grid: Grid, *, mode: ImageMode = "linear") -> Volume:
    """The moving image on a fixed grid: ``moved(p) = moving(T(p))``.

    Does not smooth: a much coarser grid aliases. Memory beyond the result is bounded by `SLAB_VOXELS`.

    Args:
        moving: image to carry over.
        transform: fixed world to moving world.
        grid: grid of the result, in the fixed world.
        mode: trilinear or nearest neighbour.

    Returns:
        Volume on `grid` with the background of `moving` where `moving` has no voxel.
    """
    sampler: Literal["bilinear", "nearest"] = "bilinear" if mode == "linear" else "nearest"
    data = moving.data.new_empty((moving.data.shape[0], *grid.shape))
    for start, stop, index in _slabs(transform, grid, moving.grid):
        outside = ~_inside(index, moving.grid.shape)
        points = index.to(moving.data.device, torch.float32)
        values = sample_grid(moving.data[None], points[None], mode=sampler, clamp=True)[0]
        data[:, start:stop] = values.masked_fill(outside.to(values.device), moving.background)
    return Volume(data=data, grid=grid, background=moving.background, stored_dtype=moving.stored_dtype)


def resample_labels(labels: LabelMap, transform: Transform, grid: Grid, *, mode: LabelMode = "nearest") -> LabelMap:
    """The moving label map on a fixed grid; never invents a label.

    Args:
        labels: moving label map.
        transform: fixed world to moving world.
        grid: grid of the result, in the fixed world.
        mode: `nearest` takes the label of the nearest voxel; `per_label_linear` the label whose indicator,
            interpolated linearly, is largest: smoother borders, thin structures may vanish.

    Returns:
        Label map on `grid`, 0 where `labels` has no voxel.
    """
    choose = _nearest_label if mode == "nearest" else _heaviest_label
    data = labels.data.new_zeros(grid.shape)
    flat = labels.data.reshape(-1)
    for start, stop, index in _slabs(transform, grid, labels.grid):
        inside = _inside(index, labels.grid.shape)
        slab = data[start:stop]
        slab[inside] = choose(flat, labels.grid.shape, index[inside])
    return LabelMap(data=data, grid=grid, stored_dtype=labels.stored_dtype)


def lost_labels(before: LabelMap, after: LabelMap) -> tuple[int, ...]:
    """Labels, in rising order, that the one map holds and the other does not; 0 does not count."""
    kept = set(after.data.unique().tolist())
    return tuple(value for value in before.data.unique().tolist() if value and value not in kept)


def _slabs(transform: Transform, grid: Grid, source: Grid) -> Iterator[tuple[int, int, Float64[Tensor, "s h w 3"]]]:
    """First and last-but-one row of each slab of the grid, with its voxels' positions in source voxels."""
    rows = max(1, SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows):
        stop = min(start + rows, grid.shape[0])
        yield start, stop, source.to_index(transform.apply(slab_centres_mm(grid, start, stop)))


def _inside(index: Float64[Tensor, "*n 3"], shape: tuple[int, int, int]) -> Bool[Tensor, "*n"]:
    ends = torch.tensor(shape, dtype=index.dtype) - 1.0 + RIM_VOX
    return ((index >= -RIM_VOX) & (index < ends)).all(-1)


def _nearest_label(
    flat: Int[Tensor, " v"], shape: tuple[int, int, int], index: Float64[Tensor, "n 3"]
) -> Int[Tensor, " n"]:
    d, h, w = (index + 0.5).floor().long().unbind(-1)
    return flat[(d * shape[1] + h) * shape[2] + w]


def _heaviest_label(
    flat: Int[Tensor, " v"], shape: tuple[int, int, int], index: Float64[Tensor, "n 3"]
) -> Int[Tensor, " n"]:
    corners, weights = linear_corners(shape, index)
    labels = flat[corners]
    chosen = labels[:, 0].clone()
    mixed = (labels != labels[:, :1]).any(1)
    candidates = labels[mixed]
    same = candidates[:, :, None] == candidates[:, None, :]
    support = (same * weights[mixed][:, None, :]).sum(-1)
    chosen[mixed] = candidates.gather(1, support.argmax(1, keepdim=True))[:, 0]
    return chosen
