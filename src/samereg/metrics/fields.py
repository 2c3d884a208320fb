"""How regular a deformation is."""

from itertools import product

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.errors import InputError

SMALLEST_JACOBIAN = 1e-9
"""A determinant below, folded voxels included, counts as this one in a logarithm."""

Corner = tuple[int, int, int]

_EVEN_TETRAHEDRA: tuple[tuple[Corner, Corner, Corner, Corner], ...] = (
    ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 1, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)),
    ((1, 0, 1), (0, 0, 1), (1, 1, 1), (1, 0, 0)),
    ((0, 1, 1), (1, 1, 1), (0, 0, 1), (0, 1, 0)),
    ((1, 0, 0), (1, 1, 1), (0, 1, 0), (0, 0, 1)),
)
"""A cube cut into five tetrahedra: four at corners, one between them; each turns right-handed."""


def folded_fraction(jacobian: Float[Tensor, "d h w"], mask: Bool[Tensor, "d h w"]) -> float:
    """Share of a mask's voxels where the map turns inside out: Jacobian determinant of 0 or less.

    Args:
        jacobian: determinant of the map's derivative, on the grid of the mask.
        mask: voxels that count.

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

    Folded voxels, which have no logarithm, count as `SMALLEST_JACOBIAN`, so that a fold raises the value.

    Raises:
        InputError: an empty mask.
    """
    return float(_within(jacobian, mask).double().clamp(min=SMALLEST_JACOBIAN).log().std())


def non_diffeomorphic_volume(positions: Float[Tensor, "3 d h w"], mask: Bool[Tensor, "d h w"]) -> tuple[float, float]:
    """Volume that a map turns inside out, which no fold between voxels escapes (Liu et al., IJCV 2024).

    Central differences look at every second voxel and miss folds between; here every cube of eight neighbouring
    voxels is cut into five tetrahedra in the two ways there are, and the volume of those that end up left-handed is
    summed, half for each way.

    Args:
        positions: where each voxel ends, along (d, h, w) in one right-handed frame; in mm for a volume in mm^3.
        mask: voxels that count: a cube counts if all its corners do.

    Returns:
        The volume turned inside out, in the cube of the positions' unit; and its share of the counted cubes' volume
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
    """Volume of one tetrahedron of every cube; negative where it is turned inside out."""
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
        raise InputError("the share of folded voxels needs a mask with voxels in it, got an empty one")
    return jacobian[mask]
