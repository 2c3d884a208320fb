"""Maps the voxels of a grid through a transform into the voxels of another grid, box by box.

Affine maps are merged into the vectors of the preceding field. A field whose axes are parallel to the grid is
interpolated separably, by matrix products; other fields by a vectorised sampler. Both are exact up to rounding. Boxes
for which neither holds, such as those that cross the border of a field, are evaluated point by point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import ceil, floor, isfinite

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.ops.sample import sample_block

RIM_VOX = 0.5
"""As in ITK, images and fields extend half a voxel beyond their outermost voxel centres and are constant there."""

PARALLEL_VOX = 1e-6
"""Maximum deviation of parallel axes over a whole grid, for separable evaluation."""

BOX = (16, 64, 128)
"""Voxels along (d, h, w) mapped at a time, so that their positions stay in the cache of one core."""

_EDGE_VOX = 1e-3
"""Tolerance for rounding at the outermost vectors of a field."""

_FAR_VOX = 1e6
"""Bound of positions, and position of points that a transform maps to NaN: outside every image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Voxels of a grid.

    Attributes:
        start: first voxel along (d, h, w).
        stop: first voxel along (d, h, w) that is not in it.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Of the last three axes of an array on the grid."""
        d, h, w = (slice(first, last) for first, last in zip(self.start, self.stop, strict=True))
        return d, h, w


def boxes(shape: tuple[int, int, int], size: tuple[int, int, int] = BOX) -> list[Box]:
    """Partition of a grid into boxes."""
    places = [
        [(first, min(first + step, n)) for first in range(0, n, step)] for n, step in zip(shape, size, strict=True)
    ]
    return [
        Box(start=(d[0], h[0], w[0]), stop=(d[1], h[1], w[1])) for d in places[0] for h in places[1] for w in places[2]
    ]


def box_centres_mm(grid: Grid, box: Box) -> Float64[Tensor, "d h w 3"]:
    """World positions of the voxels of a box."""
    along = [
        torch.arange(first, last, dtype=torch.float64)[:, None] * grid.affine[:3, axis]
        for axis, (first, last) in enumerate(zip(box.start, box.stop, strict=True))
    ]
    return (along[0] + grid.affine[:3, 3])[:, None, None] + (along[1][:, None] + along[2][None, :])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Landed:
    """Mapped positions of the voxels of a box, in voxels of the other grid: ``base + points``.

    Attributes:
        points: along (d, h, w), near zero, so that single precision is precise.
        base: whole numbers.
        low: lowest position along (d, h, w).
        high: highest position along (d, h, w).
    """

    points: Float[Tensor, "3 d h w"]
    base: Float64[Tensor, "3"]
    low: tuple[float, ...] = field(init=False)
    high: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the extremes."""
        for name, ends in (("low", self.points.amin((1, 2, 3))), ("high", self.points.amax((1, 2, 3)))):
            object.__setattr__(self, name, tuple((ends.double() + self.base).tolist()))

    def index(self) -> Float64[Tensor, "d h w 3"]:
        """Positions, the coordinates last."""
        return (self.points.double() + self.base[:, None, None, None]).movedim(0, -1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Lattice:
    """A field and the affine maps after it: from its own index to that of what comes next.

    Attributes:
        field: displacement in mm.
        onward: takes world positions behind the field to the next index.
    """

    field: Displacement
    onward: Float64[Tensor, "4 4"]

    def step(self, landed: Landed) -> Landed | None:
        """Next positions; None where points lie beyond the outermost vectors."""
        low, high, ranges = landed.low, landed.high, []
        for axis, n in enumerate(self.field.grid.shape):
            # Written so that NaN is none either.
            if not (low[axis] >= -_EDGE_VOX and high[axis] <= n - 1 + _EDGE_VOX):
                return None
            first = min(max(floor(low[axis]), 0), n - 2)
            ranges.append((first, min(max(ceil(high[axis]), first + 1), n - 1) + 1))
        block, base = self._block(ranges, landed.points.dtype)
        shift = torch.tensor([first for first, _ in ranges], dtype=torch.float64) - landed.base
        shift[1] -= 1.0  # the spare row
        points = landed.points - shift.to(landed.points)[:, None, None, None]
        last = [stop - first - 1.0 for first, stop in ranges]
        points[1].clamp_(1.0, last[1] + 1.0)
        return Landed(points=sample_block(block, points), base=base)

    def _block(
        self, ranges: Sequence[tuple[int, int]], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "d 3 h w"], Float64[Tensor, "3"]]:
        """Next positions of the vectors' places, with a spare row at either end of h, and their base."""
        d, h, w = (torch.arange(first, stop) for first, stop in ranges)
        vectors = self.field.data[:, d[0] : d[-1] + 1, h[0] : h[-1] + 1, w[0] : w[-1] + 1].double()
        nodes = torch.einsum("ij,jdhw->dihw", self.onward[:3, :3], vectors)
        places = self.onward @ self.field.grid.affine
        along = [places[:3, axis] * each.double()[:, None] for axis, each in enumerate((d, h, w))]
        nodes += (along[0] + places[:3, 3])[:, :, None, None]
        nodes += along[1].T[:, :, None] + along[2].T[:, None, :]
        base = nodes[len(d) // 2, :, len(h) // 2, len(w) // 2].round()
        nodes = (nodes - base[:, None, None]).to(dtype)
        return torch.cat([nodes[:, :, :1], nodes, nodes[:, :, -1:]], dim=2), base


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Along:
    """A field on axes of the grid.

    Attributes:
        vectors: in units of the next index.
        weights: of them at the voxels of the grid, for each axis.
    """

    vectors: Float[Tensor, "3 d h w"]
    weights: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Walk:
    """The way of a grid's voxels through a transform.

    Attributes:
        transform: fixed world to moving world.
        grid: whose voxels are mapped, in the fixed world.
        source: in whose voxels positions are given, in the moving world.
        ramp: affine part of the first step, from the grid's index to the next one; None if the transform has parts
            that are neither affine nor fields, and everything goes point by point.
        along: what the first step adds to it, if the first field lies on axes of the grid.
        lattices: the other fields.
    """

    transform: Transform
    grid: Grid
    source: Grid
    ramp: Float64[Tensor, "4 4"] | None
    along: _Along | None
    lattices: tuple[_Lattice, ...]

    def positions(self, box: Box, dtype: torch.dtype = torch.float64) -> Landed:
        """Positions of the voxels of a box in voxels of the source.

        Args:
            box: of the grid.
            dtype: single precision is exact to a thousandth of a voxel, double to rounding.
        """
        landed = None if self.ramp is None else self._first(self.ramp, box, dtype)
        for lattice in self.lattices:
            if landed is not None:
                landed = lattice.step(landed)
        if landed is not None and all(isfinite(end) for end in (*landed.low, *landed.high)):
            return landed
        index = self.exact(box).nan_to_num(-_FAR_VOX, -_FAR_VOX, -_FAR_VOX).clamp(-_FAR_VOX, _FAR_VOX).movedim(-1, 0)
        # Held to the source, so that points inside are precise even if most points of the box are far away.
        ends = torch.tensor(self.source.shape, dtype=torch.float64)[:, None]
        base = index.flatten(1).clamp(min=-1.0).minimum(ends).median(dim=1).values.round()
        return Landed(points=(index - base[:, None, None, None]).to(dtype), base=base)

    def exact(self, box: Box) -> Float64[Tensor, "d h w 3"]:
        """Positions in voxels of the source, point by point."""
        return self.source.to_index(self.transform.apply(box_centres_mm(self.grid, box)))

    def _first(self, ramp: Float64[Tensor, "4 4"], box: Box, dtype: torch.dtype) -> Landed:
        """The affine part, and the field on axes of the grid, as one matrix product along w."""
        d, h, w = (
            torch.arange(first, last, dtype=torch.float64) for first, last in zip(box.start, box.stop, strict=True)
        )
        middle = torch.stack([each[len(each) // 2] for each in (d, h, w)])
        base = (ramp[:3, :3] @ middle + ramp[:3, 3]).round()
        begin = ramp[:3, 2] * w[0] + ramp[:3, 3] - base
        offset = begin[:, None, None] + ramp[:3, 0, None, None] * d[:, None] + ramp[:3, 1, None, None] * h
        slope = ramp[:3, 2, None, None].expand_as(offset)
        rows, columns = [torch.stack([offset, slope], dim=-1)], [torch.stack([torch.ones_like(w), w - w[0]])]
        if self.along is not None:
            added = _added(self.along, box, dtype)
            rows, columns = [*rows, added[0]], [*columns, added[1]]
        left = torch.cat([each.to(dtype) for each in rows], dim=-1)
        right = torch.cat([each.to(dtype) for each in columns])
        return Landed(points=(left.flatten(0, 2) @ right).view(3, len(d), len(h), len(w)), base=base)


def walk(transform: Transform, grid: Grid, source: Grid) -> Walk:
    """The way of a grid's voxels through a transform into the voxels of a source.

    Args:
        transform: fixed world to moving world.
        grid: in the fixed world.
        source: in the moving world.
    """
    chained = [part.displacement if isinstance(part, Velocity) else part for part in parts(transform)]
    plain = [part for part in chained if isinstance(part, Affine) or _is_lattice(part)]
    if len(plain) < len(chained):
        return Walk(transform=transform, grid=grid, source=source, ramp=None, along=None, lattices=())
    fields = [part for part in plain if isinstance(part, Displacement)]
    into = [torch.linalg.inv(each.grid.affine) for each in fields] + [torch.linalg.inv(source.affine)]
    affine = _affine_between(plain)
    onward = [after @ between for after, between in zip(into, affine, strict=True)]
    lattices = [_Lattice(field=each, onward=way) for each, way in zip(fields, onward[1:], strict=True)]
    ramp, along = onward[0] @ grid.affine, None
    if fields and _parallel(ramp, grid):
        first, *lattices = lattices
        vectors = torch.einsum("ij,jdhw->idhw", first.onward[:3, :3].to(first.field.data), first.field.data)
        along = _Along(vectors=vectors, weights=_field_weights(ramp, first.field.grid, grid))
        ramp = first.onward @ affine[0] @ grid.affine
    return Walk(transform=transform, grid=grid, source=source, ramp=ramp, along=along, lattices=tuple(lattices))


def linear_weights(positions_vox: Float64[Tensor, " m"], size: int) -> Float64[Tensor, "m n"]:
    """Rows that interpolate linearly along one axis of `size` voxels; the border repeats."""
    inside = positions_vox.clamp(0.0, size - 1.0)
    return (1.0 - (inside[:, None] - torch.arange(size)).abs()).clamp(min=0.0)


def _is_lattice(part: Transform) -> bool:
    return isinstance(part, Displacement) and part.data.device.type == "cpu" and min(part.grid.shape) > 1


def _affine_between(chained: Sequence[Transform]) -> list[Float64[Tensor, "4 4"]]:
    """Affine maps before the first field, between fields, and after the last."""
    groups: list[list[Tensor]] = [[]]
    for part in chained:
        if isinstance(part, Affine):
            groups[-1].append(part.matrix)
        else:
            groups.append([])
    unchanged = torch.eye(4, dtype=torch.float64)
    return [reduce(lambda before, matrix: matrix @ before, group, unchanged) for group in groups]


def _parallel(to_field: Float64[Tensor, "4 4"], grid: Grid) -> bool:
    """Whether each axis of a grid runs along the same axis of a field, given the way into the field's index."""
    steps = to_field[:3, :3]
    drift = (steps - steps.diag().diag()).abs() * torch.tensor(grid.shape, dtype=torch.float64)
    return float(drift.max()) < PARALLEL_VOX


def _field_weights(to_field: Float64[Tensor, "4 4"], field: Grid, grid: Grid) -> tuple[Tensor, ...]:
    """For each axis, weights of the field's vectors at voxels of the grid; none beyond the field's rim."""
    weights = []
    for axis, n in enumerate(grid.shape):
        position = to_field[axis, axis] * torch.arange(n, dtype=torch.float64) + to_field[axis, 3]
        inside = (position >= -RIM_VOX) & (position < field.shape[axis] - 1.0 + RIM_VOX)
        weights.append(linear_weights(position, field.shape[axis]) * inside[:, None])
    return tuple(weights)


def _added(along: _Along, box: Box, dtype: torch.dtype) -> tuple[Float[Tensor, "3 d h n"], Float[Tensor, "n w"]]:
    """Vectors interpolated along d and h for a box, and the weights that are left to apply along w."""
    used, vectors = [], along.vectors
    for axis, weights in enumerate(along.weights):
        rows = weights[box.start[axis] : box.stop[axis]]
        columns = rows.any(dim=0).nonzero().flatten()
        first, last = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        used.append(rows[:, first:last].to(dtype))
        vectors = vectors.narrow(axis + 1, first, last - first)
    slices = used[0] @ vectors.to(dtype).flatten(2)
    return used[1] @ slices.unflatten(2, vectors.shape[2:]), used[2].T
