"""Right-angled rotations and reflections of scans: their description, and volumes rotated by them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, corners_mm
from samereg.geometry.volume import Volume

Row = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Orientation:
    """A right-angled rotation of a scan in the world, with or without a reflection.

    Attributes:
        rows: of the matrix that takes directions (x, y, z) as stored to directions as they are: a signed permutation.
    """

    rows: tuple[Row, Row, Row] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

    @property
    def matrix(self) -> Float64[Tensor, "3 3"]:
        """Directions as stored to directions as they are."""
        return torch.tensor(self.rows, dtype=torch.float64)

    @property
    def is_mirror(self) -> bool:
        """Whether it includes a reflection."""
        return float(torch.linalg.det(self.matrix)) < 0.0

    @property
    def keeps_axes(self) -> bool:
        """Whether every axis is mapped onto itself, up to its sign."""
        return all(self.rows[axis][axis] != 0 for axis in range(3))

    @property
    def words(self) -> str:
        """Description of its effect on a scan, such as "turned by 180 degrees about the z axis"."""
        if self == AS_STORED:
            return "left as it is"
        if self.is_mirror:
            return f"mirrored ({EXCHANGES.get(self.rows, 'left and right exchanged, and turned')})"
        kept = [axis for axis in range(3) if self.rows[axis][axis] == 1]
        if not kept:
            return f"turned so that its axes x, y and z become {', '.join(self._new_axes())}"
        before, after = (kept[0] + 1) % 3, (kept[0] + 2) % 3
        angle = 90 * self.rows[after][before] or 180
        return f"turned by {angle} degrees about the {'xyz'[kept[0]]} axis"

    def _new_axes(self) -> list[str]:
        columns = zip(*self.rows, strict=True)
        return [f"{'-' if sum(column) < 0 else ''}{'xyz'[[abs(v) for v in column].index(1)]}" for column in columns]

    def inverse(self) -> "Orientation":
        """What undoes it."""
        return orientation_of(self.matrix.T)

    def mirrored(self) -> "Orientation":
        """This orientation after exchanging left and right of the scan."""
        return orientation_of(self.matrix @ MIRRORED.matrix)


AS_STORED = Orientation()

EXCHANGES: Mapping[tuple[Row, Row, Row], str] = {
    ((-1, 0, 0), (0, 1, 0), (0, 0, 1)): "left and right exchanged",
    ((1, 0, 0), (0, -1, 0), (0, 0, 1)): "front and back exchanged",
    ((1, 0, 0), (0, 1, 0), (0, 0, -1)): "head and feet exchanged",
}
"""Reflections along a single axis."""

MIRRORED = Orientation(rows=((-1, 0, 0), (0, 1, 0), (0, 0, 1)))


def orientation_of(matrix: Float64[Tensor, "3 3"]) -> Orientation:
    """The orientation of a signed permutation."""
    x, y, z = ((int(a), int(b), int(c)) for a, b, c in matrix.round().tolist())
    return Orientation(rows=(x, y, z))


def every_orientation() -> tuple[Orientation, ...]:
    """All 24 rotations and 24 reflections: the identity first, then those that keep axes."""
    found = []
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3, dtype=torch.float64)
            matrix[torch.arange(3), torch.tensor(axes)] = torch.tensor(signs, dtype=torch.float64)
            found.append(orientation_of(matrix))
    return tuple(found)


def turned(volume: Volume, orientation: Orientation) -> Volume:
    """An axis-aligned volume reoriented without interpolation.

    Args:
        volume: on an isotropic grid as from `axis_aligned_grid`.
        orientation: rotation about the centre of the grid.
    """
    # Index axes are (z, y, x): the matrix in their order.
    matrix = orientation.matrix.flip(0, 1)
    axes = matrix.abs().argmax(1).tolist()
    flipped = [1 + axis for axis in range(3) if float(matrix[axis].sum()) < 0.0]
    data = volume.data.permute(0, *(1 + axis for axis in axes)).flip(flipped).contiguous()
    low_mm = turning(volume.grid, orientation).apply(corners_mm(volume.grid)).amin(0)
    x, y, z = low_mm.tolist()
    depth, height, width = data.shape[1:]
    grid = axis_aligned_grid((depth, height, width), volume.grid.spacing_mm, (x, y, z))
    return replace(volume, data=data, grid=grid)


def turning(grid: Grid, orientation: Orientation) -> Affine:
    """Rotation about the centre of a grid: world as stored to world as it should be."""
    centre_mm = grid.centre_mm
    return Affine.from_parts(orientation.matrix, centre_mm - orientation.matrix @ centre_mm)
