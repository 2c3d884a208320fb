"""Resampling of images and label maps through a transform, with a single interpolation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.ops.ambient import plain_torch
from samereg.ops.kernels import Kernel, sample_kernel
from samereg.ops.sample import linear_corners, sample_grid

SLAB_VOXELS = 1 << 18
"""Points mapped at a time, so that double-precision positions stay in the cache."""

RIM_VOX = 0.5
"""As in ITK, an image extends half a voxel beyond its outermost voxel centres and is constant there."""

PARALLEL_VOX = 1e-6
"""Maximum deviation of parallel axes over a whole grid, for separable evaluation."""

Locate = Callable[[int, int], Float64[Tensor, "s h w 3"]]
"""Function of (start, stop): positions, in source voxels, of the rows start to stop - 1 of a grid."""

ImageMode = Literal["linear", "nearest", "cubic", "sinc"]
LabelMode = Literal["nearest", "per_label_linear"]


@plain_torch()
def resample_volume(moving: Volume, transform: Transform, grid: Grid, *, mode: ImageMode = "linear") -> Volume:
    """The moving image on a fixed grid: ``moved(p) = moving(T(p))``.

    Does not smooth, so a much coarser grid aliases. Memory besides the result is bounded by `SLAB_VOXELS`.

    Args:
        moving: image to resample.
        transform: fixed world to moving world.
        grid: grid of the result, in the fixed world.
        mode: trilinear, nearest neighbour, cubic convolution, or windowed sinc; the last two overshoot at edges.

    Returns:
        Volume on `grid`, with the background of `moving` outside `moving`.
    """
    data = moving.data.new_empty((moving.data.shape[0], *grid.shape))
    for start, stop, index in _slabs(transform, grid, moving.grid):
        outside = ~_inside(index, moving.grid.shape)
        values = _sampled(moving.data, index, mode)
        data[:, start:stop] = values.masked_fill_(outside.to(values.device), moving.background)
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
    data = labels.data.new_full(grid.shape, outside)
    flat = labels.data.reshape(-1)
    for start, stop, index in _slabs(transform, grid, labels.grid):
        inside = _inside(index, labels.grid.shape)
        slab = data[start:stop]
        slab[inside] = choose(flat, labels.grid.shape, index[inside])
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


def linear_weights(positions_vox: Float64[Tensor, " m"], size: int) -> Float64[Tensor, "m n"]:
    """Matrix of linear interpolation along one axis of `size` voxels; the border is replicated."""
    inside = positions_vox.clamp(0.0, size - 1.0)
    return (1.0 - (inside[:, None] - torch.arange(size)).abs()).clamp(min=0.0)


def _sampled(data: Float[Tensor, "c d h w"], index: Float64[Tensor, "s h2 w2 3"], mode: ImageMode) -> Tensor:
    """Values (c, s, h2, w2) at positions in voxels; the border is replicated."""
    if mode in ("cubic", "sinc"):
        kernel: Kernel = "cubic" if mode == "cubic" else "sinc"
        return sample_kernel(data, index.reshape(-1, 3), kernel=kernel).reshape(-1, *index.shape[:3])
    points = index.to(data.device, torch.float32)
    sampler: Literal["bilinear", "nearest"] = "bilinear" if mode == "linear" else "nearest"
    return sample_grid(data[None], points[None], mode=sampler, clamp=True)[0]


def _slabs(transform: Transform, grid: Grid, source: Grid) -> Iterator[tuple[int, int, Float64[Tensor, "s h w 3"]]]:
    """Start and stop of each slab of the grid, with the positions of its voxels in source voxels."""
    locate = _locator(transform, grid, source)
    rows = max(1, SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], rows):
        stop = min(start + rows, grid.shape[0])
        yield start, stop, locate(start, stop)


def _locator(transform: Transform, grid: Grid, source: Grid) -> Locate:
    """Evaluation point by point in general; separable for affine maps and for fields aligned with the grid."""
    first, *rest = parts(transform)
    if _all_affine((first, *rest)):
        return _affine_locator((first, *rest), grid, source)
    if isinstance(first, Displacement) and _all_affine(rest) and _parallel(first.grid, grid):
        return _field_locator(first, rest, grid, source)
    return lambda start, stop: source.to_index(transform.apply(slab_centres_mm(grid, start, stop)))


def _affine_locator(maps: Sequence[Transform], grid: Grid, source: Grid) -> Locate:
    """Separable: each coordinate is a sum of one term per row, column and slice."""
    to_index = _after_field(maps, source) @ grid.affine
    along = [to_index[:3, axis, None] * torch.arange(n, dtype=torch.float64) for axis, n in enumerate(grid.shape)]
    slices = along[0] + to_index[:3, 3, None]
    in_plane = along[1][:, :, None] + along[2][:, None, :]
    return lambda start, stop: (slices[:, start:stop, None, None] + in_plane[:, None]).movedim(0, -1)


def _field_locator(field: Displacement, maps: Sequence[Transform], grid: Grid, source: Grid) -> Locate:
    """As `_affine_locator`, plus the field's vectors, interpolated one axis at a time."""
    undisplaced = _affine_locator(maps, grid, source)
    vectors = torch.einsum("ij,jdhw->idhw", _after_field(maps, source)[:3, :3].to(field.data), field.data)
    along_d, along_h, along_w = (weights.to(field.data) for weights in _field_weights(field.grid, grid))

    def locate(start: int, stop: int) -> Float64[Tensor, "s h w 3"]:
        slices = (along_d[start:stop] @ vectors.flatten(2)).unflatten(2, vectors.shape[2:])
        return undisplaced(start, stop).add_((along_h @ slices @ along_w.T).movedim(0, -1))

    return locate


def _field_weights(field: Grid, grid: Grid) -> list[Float64[Tensor, "m n"]]:
    """For each axis, weights of the field's vectors at voxels of the grid; zero outside the field."""
    to_field = torch.linalg.inv(field.affine) @ grid.affine
    weights = []
    for axis, n in enumerate(grid.shape):
        position = to_field[axis, axis] * torch.arange(n, dtype=torch.float64) + to_field[axis, 3]
        inside = (position >= -RIM_VOX) & (position < field.shape[axis] - 1.0 + RIM_VOX)
        weights.append(linear_weights(position, field.shape[axis]) * inside[:, None])
    return weights


def _after_field(maps: Sequence[Transform], source: Grid) -> Float64[Tensor, "4 4"]:
    """Matrix of a chain of affine maps, into source voxels."""
    matrices = [part.matrix for part in maps if isinstance(part, Affine)]
    matrix: Tensor = torch.linalg.inv(source.affine)
    return reduce(lambda after, part: after @ part, reversed(matrices), matrix)


def _all_affine(maps: Sequence[Transform]) -> bool:
    return all(isinstance(part, Affine) for part in maps)


def _parallel(first: Grid, second: Grid) -> bool:
    """Whether the axes of two grids are parallel."""
    steps = (torch.linalg.inv(first.affine) @ second.affine)[:3, :3]
    drift = (steps - steps.diag().diag()).abs() * torch.tensor(second.shape, dtype=torch.float64)
    return float(drift.max()) < PARALLEL_VOX


def _inside(index: Float64[Tensor, "*n 3"], shape: tuple[int, int, int]) -> Bool[Tensor, "*n"]:
    within = [
        (along >= -RIM_VOX) & (along < n - 1.0 + RIM_VOX) for along, n in zip(index.unbind(-1), shape, strict=True)
    ]
    return within[0] & within[1] & within[2]


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
