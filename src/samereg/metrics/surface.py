"""Surface distances of two structures on one grid, in mm."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import ndimage
from torch import Tensor

from samereg.errors import InputError

HD95_QUANTILE = 0.95
"""Percentile of the robust Hausdorff distance."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SurfaceDistances:
    """Distances from every surface voxel of one structure to the nearest surface voxel of the other.

    The surface of a structure are its voxels that share a face with the outside; the region beyond the grid
    is outside. This is the definition of MONAI and of scipy's binary erosion; `surface-distance` instead weighs
    triangles between voxels, which differs by less than a voxel's diagonal.

    Attributes:
        first_mm: of each surface voxel of the first structure.
        second_mm: of each surface voxel of the second.
    """

    first_mm: Float64[Tensor, " n"]
    second_mm: Float64[Tensor, " m"]

    @property
    def average_mm(self) -> float:
        """Average symmetric surface distance: the mean of both directions' means."""
        return float(self.first_mm.mean() + self.second_mm.mean()) / 2.0

    @property
    def pooled_average_mm(self) -> float:
        """Mean over the surface voxels of both structures, as in MONAI: the larger surface has more weight."""
        return float(torch.cat([self.first_mm, self.second_mm]).mean())

    @property
    def hd95_mm(self) -> float:
        """95th percentile Hausdorff distance: the maximum of both directions."""
        return max(float(each.quantile(HD95_QUANTILE)) for each in (self.first_mm, self.second_mm))

    @property
    def hausdorff_mm(self) -> float:
        """Hausdorff distance."""
        return float(torch.maximum(self.first_mm.max(), self.second_mm.max()))


def surface_distances(
    first: Bool[Tensor, "d h w"], second: Bool[Tensor, "d h w"], *, spacing_mm: tuple[float, float, float]
) -> SurfaceDistances:
    """Distances between the surfaces of two structures.

    Args:
        first: voxels of one structure.
        second: voxels of the other, on the same grid.
        spacing_mm: of the grid along (d, h, w); its axes are orthogonal.

    Raises:
        InputError: a structure without voxels has no surface.
    """
    if not bool(first.any()) or not bool(second.any()):
        raise InputError("surface distances need two non-empty structures, got an empty one")
    box = _bounding_box(first | second)
    edges = [_surface(mask[box].cpu().numpy()) for mask in (first, second)]
    to_first, to_second = (ndimage.distance_transform_edt(~edge, sampling=spacing_mm) for edge in edges)
    return SurfaceDistances(
        first_mm=torch.from_numpy(to_second[edges[0]]), second_mm=torch.from_numpy(to_first[edges[1]])
    )


def _surface(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    inner: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = mask & ~ndimage.binary_erosion(mask)
    return inner


def _bounding_box(mask: Bool[Tensor, "d h w"]) -> tuple[slice, slice, slice]:
    """Bounding box of a mask, which contains all surface voxels.

    Voxels at its border have their missing neighbours outside the structure, as on the whole grid.
    """
    d, h, w = (torch.nonzero(mask.any(dim=first).any(dim=second))[:, 0] for first, second in ((1, 1), (0, 1), (0, 0)))
    low_high = [slice(int(along[0]), int(along[-1]) + 1) for along in (d, h, w)]
    return low_high[0], low_high[1], low_high[2]
