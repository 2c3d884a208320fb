"""Similarity of a fixed and a warped image; larger is more similar, and losses negate it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.ops.filters import box_count, box_sum

NOISE_VARIANCE = 1e-3
"""Noise variance in model-space units squared: (20 HU)^2."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NCCWindows:
    """Windows of a fixed image, known once for any number of images that are compared with it.

    Attributes:
        image: ``F``.
        mean: over each voxel's window.
        spread: variance over it, and the noise.
        share: of one voxel in its window: one over the number of voxels that exist there.
        radius: of the windows, voxels.
        noise: ``e`` of `local_ncc`.
    """

    image: Float[Tensor, "b c d h w"]
    mean: Float[Tensor, "b c d h w"]
    spread: Float[Tensor, "b c d h w"]
    share: Float[Tensor, "d h w"]
    radius: int
    noise: float


def ncc_windows(fixed: Float[Tensor, "b c d h w"], *, radius: int = 4, noise: float = NOISE_VARIANCE) -> NCCWindows:
    """The windows of a fixed image; settings as of `local_ncc`."""
    share = 1.0 / box_count(fixed, radius)
    mean = box_sum(fixed, radius).mul_(share)
    spread = _variance(fixed, mean, share, radius).add_(noise)
    return NCCWindows(image=fixed, mean=mean, spread=spread, share=share, radius=radius, noise=noise)


def local_ncc(
    fixed: Float[Tensor, "b c d h w"],
    moved: Float[Tensor, "b c d h w"],
    *,
    radius: int = 4,
    noise: float = NOISE_VARIANCE,
) -> Float[Tensor, "b c d h w"]:
    """Squared local normalised cross-correlation of every voxel's window, 0 to 1; to be maximised.

    ``cov(F, M)^2 / ((var F + e) (var M + e))`` over windows of `2 radius + 1` voxels (VoxelMorph, eq. 7; the 9 of
    SAME). Differentiable in `moved` alone, by a closed form that needs three box sums.

    Args:
        fixed: ``F``.
        moved: ``M``, on the same lattice.
        radius: of the window, voxels.
        noise: ``e``; windows of less variance contribute little.
    """
    return local_ncc_in(ncc_windows(fixed, radius=radius, noise=noise), moved)


def local_ncc_in(windows: NCCWindows, moved: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
    """`local_ncc` of a fixed image whose windows are known, at little more than half its cost."""
    found: Tensor = _LocalNCC.apply(windows, moved)  # type: ignore[no-untyped-call]
    return found


class _LocalNCC(torch.autograd.Function):
    """With n the window's size, ``C = sum FM - sum F sum M / n`` and so on; ``ncc = C^2 / (V_F V_M)``.

    ``d ncc(y) / d M(x) = 2 C / (V_F V_M) (F(x) - mean F) - 2 C^2 / (V_F V_M^2) (M(x) - mean M)`` for x in the
    window of y; the box sum is its own adjoint, so the sum over y is a box sum again.
    """

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, windows: NCCWindows, moved: Tensor) -> Tensor:
        radius, share = windows.radius, windows.share
        mean = box_sum(moved, radius).mul_(share)
        covariance = box_sum(windows.image * moved, radius).mul_(share).addcmul_(windows.mean, mean, value=-1.0)
        spread = _variance(moved, mean, share, radius).add_(windows.noise)
        slope = covariance / (windows.spread * spread)
        ncc = covariance.mul_(slope)
        context.save_for_backward(moved, mean, slope, ncc / spread)
        context.windows = windows  # type: ignore[attr-defined]
        return ncc

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        moved, mean, slope, pull = context.saved_tensors  # type: ignore[attr-defined]
        windows: NCCWindows = context.windows  # type: ignore[attr-defined]
        outer = gradients[0] * (2.0 * windows.share)
        first, second = slope * outer, outer.mul_(pull)
        of_moved = box_sum(first, windows.radius).mul_(windows.image)
        of_moved.addcmul_(moved, box_sum(second, windows.radius), value=-1.0)
        middle = first.mul_(windows.mean).addcmul_(second, mean, value=-1.0)
        return None, of_moved.sub_(box_sum(middle, windows.radius))


def _variance(image: Tensor, mean: Tensor, share: Tensor, radius: int) -> Tensor:
    """Of each voxel's window, at least 0 whatever was rounded."""
    squared = box_sum(image.square(), radius)
    return squared.mul_(share).addcmul_(mean, mean, value=-1.0).clamp_(min=0)


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
