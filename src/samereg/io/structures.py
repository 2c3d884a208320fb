"""Named structures, each as a level on a lattice of its own: above 0 inside, whatever file it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, strided, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.ops.sample import sample_grid

_COARSE_MM = 12.0
"""Spacing at which a grid is searched for the part that a structure reaches."""
_MOST_LABELS = 65535


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Structure:
    """One structure: a segment of a SEG, a region of interest of an RTSTRUCT, or a label.

    Attributes:
        number: segment number, ROI number or label value.
        name: what it is called.
        grid: lattice of the level.
        level: above 0 inside, below 0 outside; linear between the voxel centres, and outside beyond.
        colour: red, green and blue from 0 to 255, where the file gives one.
        header: elements of its file that describe it, as DICOM JSON; they may name people.
    """

    number: int
    name: str
    grid: Grid
    level: Float[Tensor, "d h w"]
    colour: tuple[int, int, int] | None = None
    header: str = field(default="{}", repr=False)

    @property
    def outside(self) -> float:
        """Level of all that lies beyond the lattice."""
        return min(float(self.level.min()), -1e-3)

    @property
    def volume_mm3(self) -> float:
        """Volume of the voxels of its lattice that lie inside."""
        return float((self.level > 0.0).sum()) * prod(self.grid.spacing_mm)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """Part of a grid and a level on it.

    Attributes:
        start: index (d, h, w) of its first voxel in the whole grid.
        grid: of the part.
        level: above 0 inside.
    """

    start: tuple[int, int, int]
    grid: Grid
    level: Float[Tensor, "d h w"]


def masks_of(labels: LabelMap, names: dict[int, str] | None = None) -> tuple[Structure, ...]:
    """Structures of the values of a label map, in their order; 0 is none."""
    known = names or {}
    values = [int(value) for value in labels.data.unique().tolist() if value != 0]
    return tuple(
        from_mask(labels.data == value, labels.grid, number=value, name=known.get(value, f"label {value}"))
        for value in values
    )


def from_mask(mask: Bool[Tensor, "d h w"], grid: Grid, *, number: int, name: str) -> Structure:
    """A structure of the voxels of a mask: its surface lies halfway between voxel centres."""
    start, part = _cropped(mask)
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(torch.tensor(start, dtype=torch.float64))
    depth, height, width = part.shape
    lattice = Grid(shape=(depth, height, width), affine=affine)
    return Structure(number=number, name=name, grid=lattice, level=part.float() - 0.5)


def level_on(structure: Structure, grid: Grid, transform: Transform | None = None) -> Region | None:
    """The level of a structure on the part of a grid that it reaches; None if it reaches none.

    Args:
        structure: in the moving world.
        grid: in the fixed world.
        transform: fixed world to moving world; by default the two are one world.
    """
    way = Affine.identity() if transform is None else transform
    box = _reached(structure, grid, way)
    if box is None:
        return None
    low, high = box
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(torch.tensor(low, dtype=torch.float64))
    depth, height, width = (last - first + 1 for first, last in zip(low, high, strict=True))
    part = Grid(shape=(depth, height, width), affine=affine)
    index = structure.grid.to_index(way.apply(voxel_centres_mm(part)))
    level = sample_grid(structure.level[None, None], index[None], outside=structure.outside)[0, 0]
    return Region(start=low, grid=part, level=level)


def mask_on(structure: Structure, grid: Grid, transform: Transform | None = None) -> Bool[Tensor, "d h w"]:
    """Voxels of a grid whose centres lie in a structure; see `level_on`."""
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    region = level_on(structure, grid, transform)
    if region is not None:
        place = tuple(
            slice(first, first + count) for first, count in zip(region.start, region.level.shape, strict=True)
        )
        mask[place] = region.level > 0.0
    return mask


def painted(structures: Sequence[Structure], grid: Grid, transform: Transform | None = None) -> tuple[LabelMap, int]:
    """Structures as one label map of their numbers, and how many voxels belong to several; see `level_on`.

    Where structures overlap, the smaller one shows: an organ before the body around it.
    """
    data = torch.zeros(grid.shape, dtype=torch.int64)
    overlaps = torch.zeros(grid.shape, dtype=torch.bool)
    for structure in sorted(structures, key=lambda structure: -structure.volume_mm3):
        mask = mask_on(structure, grid, transform)
        overlaps |= (data != 0) & mask
        data[mask] = structure.number
    largest = max((structure.number for structure in structures), default=0)
    dtype = "uint8" if largest < 256 else "uint16" if largest <= _MOST_LABELS else "int32"
    return LabelMap(data=data, grid=grid, stored_dtype=dtype), int(overlaps.sum())


def _cropped(mask: Bool[Tensor, "d h w"]) -> tuple[tuple[int, int, int], Bool[Tensor, "a b c"]]:
    """The box of a mask widened by one voxel of False on every side, and the index of its first voxel."""
    found = mask.nonzero()
    if not len(found):
        return (0, 0, 0), torch.zeros(1, 1, 1, dtype=torch.bool)
    low, high = found.amin(dim=0).tolist(), found.amax(dim=0).tolist()
    inner = mask[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1]
    part = torch.zeros([count + 2 for count in inner.shape], dtype=torch.bool)
    part[1:-1, 1:-1, 1:-1] = inner
    return (low[0] - 1, low[1] - 1, low[2] - 1), part


def _reached(
    structure: Structure, grid: Grid, transform: Transform
) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """First and last index of the box of a grid that a transform takes into the lattice of a structure."""
    stride = max(1, int(_COARSE_MM / max(grid.spacing_mm)))
    coarse = strided(grid, stride)
    landed = structure.grid.to_index(transform.apply(voxel_centres_mm(coarse)))
    slack_mm = 2.0 * stride * max(grid.spacing_mm)
    slack = torch.tensor([slack_mm / spacing for spacing in structure.grid.spacing_mm], dtype=torch.float64)
    last = torch.tensor(structure.grid.shape, dtype=torch.float64) - 1.0
    near = ((landed >= -slack) & (landed <= last + slack)).all(dim=-1).nonzero()
    if not len(near):
        return None
    ends = torch.tensor(grid.shape) - 1
    low = ((near.amin(dim=0) - 1) * stride).clamp(min=0)
    high = torch.minimum((near.amax(dim=0) + 1) * stride, ends)
    first, final = low.tolist(), high.tolist()
    return (first[0], first[1], first[2]), (final[0], final[1], final[2])
