"""Correlation of two feature maps over small displacements: tensors in, tensors out, index units."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TILE = 16
"""Cells along w per matrix product: a larger value wastes arithmetic, a smaller one wastes calls."""


def displacements(reach: int, step: int) -> tuple[tuple[int, int, int], ...]:
    """Displacements (d, h, w) of a correlation, in the order of its channels.

    >>> displacements(2, 2)[:2], len(displacements(2, 2))
    (((-2, -2, -2), (-2, -2, 0)), 27)
    """
    along = range(-reach, reach + 1, step)
    return tuple(product(along, along, along))


def correlate(
    fixed: Float[Tensor, "b c d h w"], moving: Float[Tensor, "b c d h w"], *, reach: int = 2, step: int = 2
) -> Float[Tensor, "b n d h w"]:
    """Inner products of features at small displacements: ``F_k(u) = <S_f(u), S_m(u + d_k)>``.

    SAME, section 2.3, with ``d`` in {-2, 0, 2}^3 by default. Outside its grid the moving map is zero. Never stores
    a copy of the moving map per displacement: rows of cells along w are multiplied as small matrices, of which
    the required diagonals are kept. Differentiable with respect to both maps.

    Args:
        fixed: ``S_f``.
        moving: ``S_m``, on the same lattice.
        reach: maximum displacement along each axis, cells.
        step: spacing of the displacements, cells; divides `reach`.

    Returns:
        One channel per displacement, in the order of `displacements`, in the dtype of the maps.
    """
    found: Tensor = _Correlation.apply(fixed, moving, reach, step)  # type: ignore[no-untyped-call]
    return found


class _Correlation(torch.autograd.Function):
    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx, fixed: Tensor, moving: Tensor, reach: int, step: int
    ) -> Tensor:
        context.save_for_backward(fixed, moving)
        context.reach, context.step = reach, step  # type: ignore[attr-defined]
        return torch.stack([_correlated(f, m, reach, step) for f, m in zip(fixed, moving, strict=True)])

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        fixed, moving = context.saved_tensors  # type: ignore[attr-defined]
        reach, step = context.reach, context.step  # type: ignore[attr-defined]
        wanted = context.needs_input_grad  # type: ignore[attr-defined]
        of_fixed = _gathered(moving, gradients[0], reach, step) if wanted[0] else None
        of_moving = _scattered(fixed, gradients[0], reach, step) if wanted[1] else None
        return of_fixed, of_moving, None, None


def _correlated(fixed: Tensor, moving: Tensor, reach: int, step: int) -> Tensor:
    """Banded products of two maps (c, d, h, w): for each (d, h) displacement, tiles of rows along w."""
    _, depth, height, width = fixed.shape
    over = -width % TILE
    rows = functional.pad(fixed.permute(1, 2, 3, 0), (0, 0, 0, over)).unflatten(2, (-1, TILE))
    around = (0, 0, reach, reach + over, reach, reach, reach, reach)
    padded = functional.pad(moving.permute(1, 2, 3, 0), around)
    steps = range(0, 2 * reach + 1, step)
    out = fixed.new_empty((len(steps) ** 3, depth, height, width + over))
    tiles = out.unflatten(-1, (-1, TILE))
    for number, (along_d, along_h) in enumerate(product(steps, steps)):
        shifted = padded[along_d : along_d + depth, along_h : along_h + height]
        table = rows @ shifted.unfold(2, TILE + 2 * reach, TILE)
        for place, along_w in enumerate(steps):
            tiles[number * len(steps) + place] = table.diagonal(along_w, -2, -1)[..., :TILE]
    return out[..., :width]


def _gathered(moving: Tensor, gradient: Tensor, reach: int, step: int) -> Tensor:
    """Gradient of the fixed map: ``sum_k g_k(u) S_m(u + d_k)``."""
    depth, height, width = moving.shape[2:]
    padded = functional.pad(moving, (reach,) * 6)
    total = torch.zeros_like(moving)
    for channel, (d, h, w) in enumerate(displacements(reach, step)):
        at = padded[:, :, d + reach :, h + reach :, w + reach :][:, :, :depth, :height, :width]
        total.addcmul_(gradient[:, channel, None], at)
    return total


def _scattered(fixed: Tensor, gradient: Tensor, reach: int, step: int) -> Tensor:
    """Gradient of the moving map: ``sum_k g_k(u) S_f(u)`` added at ``u + d_k``."""
    depth, height, width = fixed.shape[2:]
    total = functional.pad(torch.zeros_like(fixed), (reach,) * 6)
    for channel, (d, h, w) in enumerate(displacements(reach, step)):
        at = total[:, :, d + reach :, h + reach :, w + reach :][:, :, :depth, :height, :width]
        at.addcmul_(gradient[:, channel, None], fixed)
    inner = slice(reach, -reach) if reach else slice(None)
    return total[:, :, inner, inner, inner]
