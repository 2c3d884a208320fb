"""Similarity of a fixed and a warped image; larger is more similar, and losses negate it."""

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.ops.filters import box_count, box_sum

NOISE_VARIANCE = 1e-3
"""Noise variance in model-space units squared: (20 HU)^2."""


def local_ncc(
    fixed: Float[Tensor, "b c d h w"],
    moved: Float[Tensor, "b c d h w"],
    *,
    radius: int = 4,
    noise: float = NOISE_VARIANCE,
) -> Float[Tensor, "b c d h w"]:
    """Squared local normalised cross-correlation of every voxel's window, 0 to 1; to be maximised.

    ``cov(F, M)^2 / ((var F + e) (var M + e))`` over windows of `2 radius + 1` voxels (VoxelMorph, eq. 7; the 9 of
    SAME). Differentiable in `moved` alone, by a closed form that needs four box sums.

    Args:
        fixed: ``F``.
        moved: ``M``, on the same lattice.
        radius: of the window, voxels.
        noise: ``e``; windows of less variance contribute little.
    """
    found: Tensor = _LocalNCC.apply(fixed, moved, radius, noise)  # type: ignore[no-untyped-call]
    return found


class _LocalNCC(torch.autograd.Function):
    """With n the window's size, ``C = sum FM - sum F sum M / n`` and so on; ``ncc = C^2 / (V_F V_M)``.

    ``d ncc(y) / d M(x) = 2 C / (V_F V_M) (F(x) - mean F) - 2 C^2 / (V_F V_M^2) (M(x) - mean M)`` for x in the
    window of y; the box sum is its own adjoint, so the sum over y is a box sum again.
    """

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx, fixed: Tensor, moved: Tensor, radius: int, noise: float
    ) -> Tensor:
        count = box_count(fixed, radius)
        mean_fixed, mean_moved = box_sum(fixed, radius) / count, box_sum(moved, radius) / count
        covariance = box_sum(fixed * moved, radius) / count - mean_fixed * mean_moved
        spread_fixed = (box_sum(fixed.square(), radius) / count - mean_fixed.square()).clamp_(min=0) + noise
        spread_moved = (box_sum(moved.square(), radius) / count - mean_moved.square()).clamp_(min=0) + noise
        slope = covariance / (spread_fixed * spread_moved)
        ncc = covariance * slope
        context.save_for_backward(fixed, moved, mean_fixed, mean_moved, slope, ncc / spread_moved)
        context.radius, context.count = radius, count  # type: ignore[attr-defined]
        return ncc

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        fixed, moved, mean_fixed, mean_moved, slope, pull = context.saved_tensors  # type: ignore[attr-defined]
        radius = context.radius  # type: ignore[attr-defined]
        outer = gradients[0] * (2.0 / context.count)  # type: ignore[attr-defined]
        first, second = outer * slope, outer * pull
        of_moved = fixed * box_sum(first, radius) - moved * box_sum(second, radius)
        of_moved = of_moved - box_sum(first * mean_fixed - second * mean_moved, radius)
        return None, of_moved, None, None


def embedding_similarity(
    fixed: Float[Tensor, "b c d h w"], moved: Float[Tensor, "b c d h w"]
) -> Float[Tensor, "b 1 d h w"]:
    """Inner product of embeddings at every cell, the term of SAME's eq. 3; at most 1, to be maximised.

    The paper calls its mean a loss, but as printed it is a similarity: its negative is what is minimised.

    Args:
        fixed: ``S_f``, of length about 1.
        moved: ``S_m`` warped, on the same lattice.
    """
    return (fixed * moved).sum(1, keepdim=True)


def masked_mean(values: Float[Tensor, "b c d h w"], mask: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, ""]:
    """Mean over the voxels of a mask and all channels; 0 for an empty mask."""
    return (values * mask).sum() / (mask.sum() * values.shape[1]).clamp(min=1.0)
