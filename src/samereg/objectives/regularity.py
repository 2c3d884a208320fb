"""Regularisation losses of displacement fields, in index units; to be minimised."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from samereg.objectives.similarity import masked_mean
from samereg.ops.fields import jacobian_determinant


def diffusion(field: Float[Tensor, "b 3 d h w"], mask: Float[Tensor, "b 1 d h w"] | None = None) -> Float[Tensor, ""]:
    """Mean of ``|grad u|^2`` over the body (SAME, eq. 2): the sum of nine squared forward differences.

    Dimensionless, because displacement and lattice are both in voxels.

    Args:
        field: ``u``, voxels along (d, h, w).
        mask: 1 in the body, 0 elsewhere; None for the mean over all voxels.
    """
    squared: Tensor = field.new_zeros(())
    for axis in (2, 3, 4):
        step = field.diff(dim=axis).square().sum(1, keepdim=True)
        squared = squared + functional.pad(step, _after(axis))
    return squared.mean() if mask is None else masked_mean(squared, mask)


def volume_change(
    field: Float[Tensor, "b 3 d h w"], before: Float[Tensor, "b 1 d h w"] | None = None
) -> Float[Tensor, ""]:
    """Mean of ``(div u + l)^2``, by forward differences: to first order the squared log Jacobian determinant.

    Args:
        field: ``u``, voxels along (d, h, w).
        before: ``l``, log Jacobian determinant of the map that follows ``u``; None for 0.
    """
    total: Tensor = field.new_zeros(()) if before is None else before
    for axis in (2, 3, 4):
        total = total + functional.pad(field[:, axis - 2 : axis - 1].diff(dim=axis), _after(axis))
    return total.square().mean()


def bending(field: Float[Tensor, "b 3 d h w"]) -> Float[Tensor, ""]:
    """Bending energy: mean of the squared second differences; zero for affine fields.

    Args:
        field: ``u``, voxels along (d, h, w).
    """
    total: Tensor = field.new_zeros(())
    for first in (2, 3, 4):
        slope = field.diff(dim=first)
        total = total + slope.diff(dim=first).square().mean()
        for second in range(first + 1, 5):
            total = total + 2.0 * slope.diff(dim=second).square().mean()
    return 3.0 * total


def folding(field: Float[Tensor, "b 3 d h w"], mask: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, ""]:
    """Mean over the body of the negative part of the Jacobian determinant; 0 for a map without folding.

    Args:
        field: ``u``, voxels along (d, h, w).
        mask: 1 in the body, 0 elsewhere.
    """
    return masked_mean(functional.relu(-jacobian_determinant(field))[:, None], mask)


def _after(axis: int) -> tuple[int, ...]:
    """Padding by one cell after the last one along an axis of a (b, c, d, h, w) tensor."""
    padding = [0] * 6
    padding[2 * (4 - axis) + 1] = 1
    return tuple(padding)
