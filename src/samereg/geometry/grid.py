"""Voxel grid of an array: shape and affine, LPS+ mm; independent of intensities."""

from dataclasses import dataclass
from math import ceil, prod

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.errors import GeometryError
from samereg.ops.ambient import plain_torch

_SINGULAR = 1e-6
"""Minimum determinant of the unit direction vectors of three independent axes."""
_DIRECTION_TOLERANCE = 1e-4
"""Tolerance of orthonormality: direction cosines of single-precision headers are off by about 1e-6."""
_POSITION_TOLERANCE_MM = 1e-3
"""Grids whose corners differ by less than this are equal."""
_INDEX_SLACK = 1e-4
"""Tolerance, in voxels, within which an extent divided by a spacing is not rounded up."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grid:
    """Voxel grid in world coordinates.

    Attributes:
        shape: number of voxels along (d, h, w).
        affine: takes (d, h, w, 1), in voxels with centres at integers, to (x, y, z, 1), LPS+ mm.
            Any spacing and direction, left-handed and sheared included. Copied in, float64 on the CPU.

    Raises:
        GeometryError: no voxels along an axis, a non-finite affine, or linearly dependent axes.
    """

    shape: tuple[int, int, int]
    affine: Float64[Tensor, "4 4"]

    @plain_torch()
    def __post_init__(self) -> None:
        """Copy and validate the affine."""
        object.__setattr__(self, "affine", self.affine.detach().to("cpu", torch.float64, copy=True))
        if min(self.shape) < 1:
            raise GeometryError(f"a grid needs at least one voxel along each axis, got shape {self.shape}")
        if not bool(torch.isfinite(self.affine).all()):
            raise GeometryError("a grid needs a finite affine, got NaN or infinity in it")
        lengths = self.affine[:3, :3].norm(dim=0)
        if float(lengths.min()) <= 0.0:
            raise GeometryError(f"a grid needs positive spacing, got {_rounded(lengths)} mm along (d, h, w)")
        if abs(float(torch.linalg.det(self.affine[:3, :3] / lengths))) < _SINGULAR:
            raise GeometryError("a grid needs three independent axes, got directions that lie in one plane")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along (d, h, w)."""
        d, h, w = self.affine[:3, :3].norm(dim=0).tolist()
        return d, h, w

    @property
    @plain_torch()
    def direction(self) -> Float64[Tensor, "3 3"]:
        """Unit world vectors of the axes d, h, w, as columns."""
        direction: Tensor = self.affine[:3, :3] / self.affine[:3, :3].norm(dim=0)
        return direction

    @property
    @plain_torch()
    def origin_mm(self) -> Float64[Tensor, "3"]:
        """World position of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3].clone()

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Extent along (d, h, w): number of voxels times spacing."""
        d, h, w = (n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        return d, h, w

    @property
    @plain_torch()
    def centre_mm(self) -> Float64[Tensor, "3"]:
        """World position of the centre of the grid."""
        return self.to_world((torch.tensor(self.shape, dtype=torch.float64) - 1.0) / 2.0)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return prod(self.shape)

    @property
    @plain_torch()
    def is_orthonormal(self) -> bool:
        """Whether the axes are orthogonal, which left-handed grids may be and sheared ones are not."""
        gram = self.direction.T @ self.direction
        return bool((gram - torch.eye(3, dtype=torch.float64)).abs().max() < _DIRECTION_TOLERANCE)

    @plain_torch()
    def to_world(self, points_vox: Float[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """World positions (x, y, z), LPS+ mm, of index coordinates (d, h, w)."""
        affine = self.affine.to(points_vox.device)
        return points_vox.to(torch.float64) @ affine[:3, :3].T + affine[:3, 3]

    @plain_torch()
    def to_index(self, points_mm: Float[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Index coordinates (d, h, w), in voxels, of world positions (x, y, z)."""
        inverse = torch.linalg.inv(self.affine).to(points_mm.device)
        index: Tensor = points_mm.to(torch.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return index

    @plain_torch()
    def contains(self, points_mm: Float[Tensor, "*n 3"], *, margin_vox: float = 0.5) -> Bool[Tensor, "*n"]:
        """Whether each point lies in the box of the voxel centres, expanded by a margin on every side.

        Args:
            points_mm: world positions, LPS+.
            margin_vox: 0 stops at the outermost voxel centres, 0.5 at their outer faces.
        """
        index = self.to_index(points_mm)
        last = torch.tensor(self.shape, dtype=torch.float64, device=index.device) - 1.0
        return ((index >= -margin_vox) & (index <= last + margin_vox)).all(dim=-1)

    @plain_torch()
    def is_close(self, other: "Grid") -> bool:
        """Whether both grids are equal to within a thousandth of a millimetre."""
        if self.shape != other.shape:
            return False
        offsets = corners_mm(self) - corners_mm(other)
        return bool(offsets.abs().max() < _POSITION_TOLERANCE_MM)


def axis_aligned_grid(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """Grid with d along z (superior), h along y (posterior) and w along x (left).

    Args:
        shape: number of voxels along (d, h, w).
        spacing_mm: along (d, h, w).
        origin_mm: world position (x, y, z) of the centre of voxel (0, 0, 0).

    Raises:
        GeometryError: spacing that is not positive.
    """
    if min(spacing_mm) <= 0.0:
        raise GeometryError(f"a grid needs positive spacing, got {spacing_mm} mm along (d, h, w)")
    affine = torch.zeros(4, 4, dtype=torch.float64)
    for axis, spacing in enumerate(spacing_mm):
        affine[2 - axis, axis] = spacing
    affine[:3, 3] = torch.tensor(origin_mm, dtype=torch.float64)
    affine[3, 3] = 1.0
    return Grid(shape=shape, affine=affine)


def bounding_grid(grid: Grid, *, spacing_mm: float, margin_mm: float = 0.0) -> Grid:
    """Axis-aligned isotropic grid around every voxel centre of another grid.

    A grid that is already axis-aligned and isotropic is returned equal if the margin is zero.

    Args:
        grid: grid to cover, of any direction.
        spacing_mm: spacing of the new grid along all axes.
        margin_mm: added on every side.

    Returns:
        Grid as from `axis_aligned_grid`, its first voxel at the lowest corner (minus the margin).
    """
    corners = corners_mm(grid)
    low = corners.amin(dim=0) - margin_mm
    high = corners.amax(dim=0) + margin_mm
    width, height, depth = (ceil(n - _INDEX_SLACK) + 1 for n in ((high - low) / spacing_mm).tolist())
    x, y, z = low.tolist()
    return axis_aligned_grid((depth, height, width), (spacing_mm,) * 3, (x, y, z))


def strided(grid: Grid, stride: int) -> Grid:
    """Grid of every stride-th voxel, starting at (0, 0, 0); `ceil(n / stride)` voxels along each axis."""
    depth, height, width = (ceil(n / stride) for n in grid.shape)
    affine = grid.affine.clone()
    affine[:3, :3] *= stride
    return Grid(shape=(depth, height, width), affine=affine)


def refined(grid: Grid, factor: int) -> Grid:
    """Grid refined by `factor`, outermost centres unchanged: ``factor (n - 1) + 1`` voxels along each axis."""
    depth, height, width = (factor * (n - 1) + 1 for n in grid.shape)
    affine = grid.affine.clone()
    affine[:3, :3] /= factor
    return Grid(shape=(depth, height, width), affine=affine)


def respaced(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Grid of another spacing over the same box, rounded to whole voxels; centre and directions are unchanged.

    Raises:
        GeometryError: spacing that is not positive.
    """
    if min(spacing_mm) <= 0.0:
        raise GeometryError(f"a grid needs positive spacing, got {spacing_mm} mm along (d, h, w)")
    depth, height, width = (max(1, round(n / s)) for n, s in zip(grid.extent_mm, spacing_mm, strict=True))
    affine = grid.affine.clone()
    affine[:3, :3] = grid.direction * torch.tensor(spacing_mm, dtype=torch.float64)
    half = (torch.tensor((depth, height, width), dtype=torch.float64) - 1.0) / 2.0
    affine[:3, 3] = grid.centre_mm - affine[:3, :3] @ half
    return Grid(shape=(depth, height, width), affine=affine)


def padded(grid: Grid, before: tuple[int, int, int], after: tuple[int, int, int]) -> Grid:
    """Grid extended by voxels before the first and after the last along (d, h, w)."""
    depth, height, width = (n + a + b for n, a, b in zip(grid.shape, before, after, strict=True))
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(-torch.tensor(before, dtype=torch.float64))
    return Grid(shape=(depth, height, width), affine=affine)


def voxel_centres_mm(grid: Grid) -> Float64[Tensor, "d h w 3"]:
    """World position of every voxel centre."""
    return slab_centres_mm(grid, 0, grid.shape[0])


def slab_centres_mm(grid: Grid, start: int, stop: int) -> Float64[Tensor, "s h w 3"]:
    """World positions of the voxel centres with index `start <= d < stop`."""
    ranges = ((start, stop), (0, grid.shape[1]), (0, grid.shape[2]))
    # Sum of three short tables, instead of a matrix product over all voxels.
    along_d, along_h, along_w = (
        torch.arange(low, high, dtype=torch.float64)[:, None] * grid.affine[:3, axis]
        for axis, (low, high) in enumerate(ranges)
    )
    in_plane = along_h[:, None] + along_w[None, :]
    return (along_d + grid.affine[:3, 3])[:, None, None] + in_plane


def corners_mm(grid: Grid) -> Float64[Tensor, "8 3"]:
    """World positions of the eight outermost voxel centres."""
    ends = [torch.tensor([0.0, n - 1.0], dtype=torch.float64) for n in grid.shape]
    return grid.to_world(torch.cartesian_prod(*ends))


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(v, 4) for v in values.tolist())
