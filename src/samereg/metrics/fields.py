"""How regular a deformation is."""

from jaxtyping import Bool, Float
from torch import Tensor

from samereg.errors import InputError


def folded_fraction(jacobian: Float[Tensor, "d h w"], mask: Bool[Tensor, "d h w"]) -> float:
    """Share of a mask's voxels where the map turns inside out: Jacobian determinant of 0 or less.

    Args:
        jacobian: determinant of the map's derivative, on the grid of the mask.
        mask: voxels that count.

    Raises:
        InputError: an empty mask.
    """
    if not bool(mask.any()):
        raise InputError("the share of folded voxels needs a mask with voxels in it, got an empty one")
    return float((jacobian[mask] <= 0).double().mean())
