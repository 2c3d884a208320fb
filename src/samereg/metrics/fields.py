"""Regularity measures of deformations."""

from itertools import product

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.errors import InputError

MIN_JACOBIAN = 1e-9
"""Minimum determinant in logarithms; smaller ones, including folded voxels, are clamped to it."""

Corner = tuple[int, int, int]

_EVEN_TETRAHEDRA: tuple[tuple[Corner, Corner, Corner, Corner], ...] = (
    ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 1, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)),
    ((1, 0, 1), (0, 0, 1), (1, 1, 1), (1, 0, 0)),
    ((0, 1, 1), (1, 1, 1), (0, 0, 1), (0, 1, 0)),
    ((1, 0, 0), (1, 1, 1), (0, 1, 0), (0, 0, 1)),
)
"""Decomposition of a cube into five right-handed tetrahedra: four at corners and one in the centre."""


def folded_fraction(jacobian: Float[Tensor, "d h w"], mask: Bool[Tensor, "d h w"]) -> float:
    """Fraction of a mask's voxels with non-positive Jacobian determinant.

    Args:
        jacobian: determinant of the map's derivative, on the grid of the mask.
        mask: evaluated voxels.

    Raises:
        InputError: an empty mask.
    """
    return float((_within(jacobian, mask) <= 0).double().mean())


def jacobian_std(jacobian: Float[Tensor, "d h w"], mask: Bool[Tensor, "d h w"]) -> float:
    """Standard deviation of the Jacobian determinant over a mask (SAME, table 1, last column).

    Raises:
        InputError: an empty mask.
    """
    return float(_within(jacobian, mask).double().std())


def log_jacobian_std(jacobian: Float[Tensor, "d h w"], mask: Bool[Tensor, "d h w"]) -> float:
    """Standard deviation over a mask of the logarithm of the Jacobian determinant.

    Folded voxels are clamped to `MIN_JACOBIAN`, so that folding increases the value.

    Raises:
        InputError: an empty mask.
    """
    return float(_within(jacobian, mask).double().clamp(min=MIN_JACOBIAN).log().std())


def non_diffeomorphic_volume(positions: Float[Tensor, "3 d h w"], mask: Bool[Tensor, "d h w"]) -> tuple[float, float]:
    """Non-diffeomorphic volume of a map, including folds between voxels (Liu et al., IJCV 2024).

    Central differences skip every second voxel and miss folds between them; here every cube of eight neighbouring
    voxels is decomposed into five tetrahedra in both possible ways, and the volume of inverted tetrahedra is
    summed, averaged over both ways.

    Args:
        positions: transformed voxel positions, along (d, h, w) in a right-handed frame; in mm for a volume in mm^3.
        mask: evaluated voxels; a cube is included if all its corners are.

    Returns:
        The inverted volume, in the cubed unit of the positions; and its fraction of the volume of the included cubes
        after the map.

    Raises:
        InputError: no cube of eight voxels within the mask.
    """
    counted = _corner_views(mask[None])
    whole = torch.stack([view[0] for view in counted.values()]).all(dim=0)
    if not bool(whole.any()):
        raise InputError("the volume of folds needs a mask with cubes of eight voxels in it, got none")
    corners = {at: view[:, whole].double() for at, view in _corner_views(positions).items()}
    turned, total = 0.0, 0.0
    for mirror in (False, True):
        for tetrahedron in _EVEN_TETRAHEDRA:
            volume = _signed_volume(corners, tetrahedron, mirror=mirror)
            turned += 0.5 * float(volume.clamp(max=0.0).abs().sum())
            total += 0.5 * float(volume.abs().sum())
    return turned, turned / total if total else 0.0


def _signed_volume(
    corners: dict[Corner, Float[Tensor, "3 n"]], tetrahedron: tuple[Corner, ...], *, mirror: bool
) -> Float[Tensor, " n"]:
    """Volume of one tetrahedron of every cube; negative if inverted."""
    places = [(1 - d, h, w) if mirror else (d, h, w) for d, h, w in tetrahedron]
    origin, *ends = (corners[place] for place in places)
    first, second, third = (end - origin for end in ends)
    signed: Tensor = (first * torch.linalg.cross(second, third, dim=0)).sum(dim=0) / 6.0
    return -signed if mirror else signed


def _corner_views(values: Tensor) -> dict[Corner, Tensor]:
    """For each corner of a cube, the value at that corner of every cube."""
    depth, height, width = (n - 1 for n in values.shape[1:])
    return {(d, h, w): values[:, d : d + depth, h : h + height, w : w + width] for d, h, w in product((0, 1), repeat=3)}


def _within(jacobian: Tensor, mask: Tensor) -> Tensor:
    if not bool(mask.any()):
        raise InputError("the folded fraction needs a non-empty mask, got an empty one")
    return jacobian[mask]
