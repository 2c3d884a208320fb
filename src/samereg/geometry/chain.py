"""Composition of transforms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.ops.ambient import plain_torch


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Chain:
    """``y = then(first(x))``.

    Attributes:
        first: applied first; its domain is the fixed world.
        then: applied to the result of `first`; its range is the moving world.
    """

    first: Transform
    then: Transform

    @plain_torch()
    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""
        return self.then.apply(self.first.apply(points_mm))

    @plain_torch()
    def inverse(self) -> "Chain":
        """Moving world to fixed world: the inverse of `then`, then that of `first`."""
        return Chain(first=self.then.inverse(), then=self.first.inverse())


@plain_torch()
def chain(first: Transform, then: Transform) -> Transform:
    """Transform that applies `first`, then `then`, simplified to as few parts as possible.

    Adjacent affine maps are merged and identities dropped, so that a chain of affine maps is an `Affine`.
    """
    return chain_all((*parts(first), *parts(then)))


@plain_torch()
def chain_all(transforms: Sequence[Transform]) -> Transform:
    """Composition of a sequence of transforms, applied in order; the identity for an empty sequence."""
    merged: list[Transform] = []
    for part in transforms:
        last = merged[-1] if merged else None
        if isinstance(part, Affine) and isinstance(last, Affine):
            merged[-1] = Affine(matrix=part.matrix @ last.matrix)
        else:
            merged.append(part)
    needed = [part for part in merged if not _is_identity(part)]
    if not needed:
        return Affine.identity()
    return reduce(lambda first, then: Chain(first=first, then=then), needed)


def parts(transform: Transform) -> tuple[Transform, ...]:
    """The transforms of a nested chain, in the order of application."""
    if isinstance(transform, Chain):
        return (*parts(transform.first), *parts(transform.then))
    return (transform,)


def _is_identity(transform: Transform) -> bool:
    return isinstance(transform, Affine) and torch.equal(transform.matrix, torch.eye(4, dtype=torch.float64))
