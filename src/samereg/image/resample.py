"""Resampling of images and label maps through a transform, with a single interpolation."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, floor
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.geometry.walk import RIM_VOX, Box, Landed, Walk, boxes, walk
from samereg.ops.ambient import plain_torch
from samereg.ops.kernels import Kernel, sample_kernel
from samereg.ops.sample import linear_corners, sample_block, sample_grid
from samereg.ops.workers import for_each

DOUBT_VOX = 1e-3
"""Distance from the boundary of an image within which single precision cannot decide; double precision does."""

ImageMode = Literal["linear", "nearest", "cubic", "sinc"]
LabelMode = Literal["nearest", "per_label_linear"]


@plain_torch()
def resample_volume(moving: Volume, transform: Transform, grid: Grid, *, mode: ImageMode = "linear") -> Volume:
    """The moving image on a fixed grid: ``moved(p) = moving(T(p))``.

    Does not smooth, so a much coarser grid aliases. Evaluated box by box on all threads, which bounds the memory
    besides the result.

    Args:
        moving: image to resample.
        transform: fixed world to moving world.
        grid: grid of the result, in the fixed world.
        mode: trilinear, nearest neighbour, cubic convolution, or windowed sinc; the last two overshoot at edges.

    Returns:
        Volume on `grid`, with the background of `moving` outside `moving`.
    """
    way = walk(transform, grid, moving.grid)
    data = moving.data.new_empty((moving.data.shape[0], *grid.shape))
    sample = _linear if mode == "linear" else _nearest if mode == "nearest" else _by_kernel(mode)

    def fill(box: Box) -> None:
        landed = way.positions(box, torch.float32 if mode == "linear" else torch.float64)
        inside = _inside(way, box, landed, moving.grid.shape)
        if inside is None or bool(inside.any()):
            values = sample(moving.data, landed)
            outside = None if inside is None else ~inside.to(values.device)
            data[:, *box.slices] = values if outside is None else values.masked_fill_(outside, moving.background)
        else:
            data[:, *box.slices] = moving.background

    for_each(boxes(grid.shape), fill)
    return replace(moving, data=data, grid=grid)


@plain_torch()
def resample_labels(
    labels: LabelMap, transform: Transform, grid: Grid, *, mode: LabelMode = "nearest", outside: int = 0
) -> LabelMap:
    """The moving label map on a fixed grid, without new label values.

    Args:
        labels: moving label map.
        transform: fixed world to moving world.
        grid: grid of the result, in the fixed world.
        mode: `nearest` takes the nearest voxel; `per_label_linear` the label whose indicator,
            interpolated linearly, is maximal: smoother borders, but thin structures may vanish.
        outside: label outside `labels`, see `outside_label`.

    Returns:
        Label map on `grid`, `outside` beyond `labels`.
    """
    choose = _nearest_label if mode == "nearest" else _heaviest_label
    way = walk(transform, grid, labels.grid)
    data = labels.data.new_full(grid.shape, outside)
    flat = labels.data.reshape(-1)

    def fill(box: Box) -> None:
        landed = way.positions(box)
        inside = _inside(way, box, landed, labels.grid.shape)
        index = landed.index()
        if inside is None:
            data[box.slices] = choose(flat, labels.grid.shape, index.flatten(0, 2)).view(index.shape[:3])
        else:
            data[box.slices][inside] = choose(flat, labels.grid.shape, index[inside])

    for_each(boxes(grid.shape), fill)
    return replace(labels, data=data, grid=grid)


def outside_label(labels: LabelMap) -> int:
    """Label outside a map: 0, or the most frequent label on its faces if it has negative labels."""
    if int(labels.data.min()) >= 0:
        return 0
    faces = [labels.data.select(axis, end).flatten() for axis in range(3) for end in (0, -1)]
    return int(torch.cat(faces).mode().values)


def lost_labels(before: LabelMap, after: LabelMap, *, background: int = 0) -> tuple[int, ...]:
    """Labels in `before` that are missing in `after`, in ascending order, without the background."""
    kept = {*after.data.unique().tolist(), background}
    return tuple(value for value in before.data.unique().tolist() if value not in kept)


def _linear(data: Float[Tensor, "c d h w"], landed: Landed) -> Float[Tensor, "c d2 h2 w2"]:
    """Trilinear values at mapped positions; the border is replicated."""
    if data.device.type != "cpu" or data.dtype != torch.float32:
        points = landed.index().to(data.device, torch.promote_types(data.dtype, torch.float32))
        return sample_grid(data[None], points[None], clamp=True)[0]
    low, high, sides = landed.low, landed.high, []
    for axis, n in enumerate(data.shape[1:]):
        # A voxel more on either side: for rounding, and where an axis has no other.
        first, last = floor(min(max(low[axis], -1.0), n)) - 1, ceil(min(max(high[axis], -1.0), n)) + 1
        sides.append((first, last))
    start = torch.tensor([float(first) for first, _ in sides], dtype=torch.float64)
    points = landed.points + (landed.base - start).float()[:, None, None, None]
    for axis, (first, last) in enumerate(sides):
        if not (low[axis] >= -1.0 and high[axis] <= data.shape[axis + 1]):
            points[axis].clamp_(0.0, float(last - first))
    return sample_block(_block(data, sides), points)


def _block(data: Float[Tensor, "c d h w"], sides: list[tuple[int, int]]) -> Float[Tensor, "d2 c h2 w2"]:
    """A box of an image, from a first to a last voxel along (d, h, w); the border is replicated."""
    block = data.movedim(0, 1)
    for axis, (first, last) in zip((0, 2, 3), sides, strict=True):
        n = block.shape[axis]
        held = min(max(first, 0), n - 1), min(max(last, 0), n - 1)
        block = block.narrow(axis, held[0], held[1] - held[0] + 1)
        if held != (first, last):
            block = block.index_select(axis, torch.arange(first, last + 1).clamp(*held) - held[0])
    return block.contiguous()


def _nearest(data: Float[Tensor, "c d h w"], landed: Landed) -> Float[Tensor, "c d2 h2 w2"]:
    """Values of the nearest voxels; the border is replicated."""
    index = landed.index()
    places = _nearest_place(data.shape[1:], index.flatten(0, 2))
    values: Tensor = data.flatten(1)[:, places.to(data.device)].unflatten(1, index.shape[:3])
    return values


def _by_kernel(kernel: Kernel) -> Callable[[Tensor, Landed], Tensor]:
    def sample(data: Tensor, landed: Landed) -> Tensor:
        index = landed.index()
        return sample_kernel(data, index.flatten(0, 2), kernel=kernel).reshape(-1, *index.shape[:3])

    return sample


def _inside(way: Walk, box: Box, landed: Landed, shape: tuple[int, int, int]) -> Bool[Tensor, "d h w"] | None:
    """Mask of the positions within an image, including its half-voxel rim; None if all are."""
    low, high = landed.low, landed.high
    ends = [n - 1.0 + RIM_VOX for n in shape]
    if all(a >= DOUBT_VOX - RIM_VOX and b < end - DOUBT_VOX for a, b, end in zip(low, high, ends, strict=True)):
        return None
    inside = torch.ones(landed.points.shape[1:], dtype=torch.bool)
    doubtful = torch.zeros_like(inside)
    for along, base, end in zip(landed.points, landed.base.tolist(), ends, strict=True):
        first, last = -RIM_VOX - base, end - base
        inside &= (along >= first) & (along < last)
        doubtful |= ((along - first).abs() < DOUBT_VOX) | ((along - last).abs() < DOUBT_VOX)
    if landed.points.dtype == torch.float32 and bool(doubtful.any()):
        index = way.positions(box).index()[doubtful]
        inside[doubtful] = ((index >= -RIM_VOX) & (index < torch.tensor(ends, dtype=torch.float64))).all(dim=-1)
    return inside


def _nearest_place(shape: tuple[int, ...], index: Float64[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    last = torch.tensor(shape) - 1
    d, h, w = (index + 0.5).floor().long().clamp(min=0).minimum(last).unbind(-1)
    return (d * shape[1] + h) * shape[2] + w


def _nearest_label(
    flat: Int[Tensor, " v"], shape: tuple[int, int, int], index: Float64[Tensor, "n 3"]
) -> Int[Tensor, " n"]:
    return flat[_nearest_place(shape, index)]


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
