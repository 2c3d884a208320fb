"""Matrix-free solvers of linear systems: tensors in, tensors out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LinearMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearSolution:
    """Solution of ``A x = b``.

    Attributes:
        solution: ``x``.
        residual: ``|b - A x| / |b|``; 0 where ``b`` is 0.
        iterations: number of iterations performed.
    """

    solution: Float[Tensor, "*n"]
    residual: float
    iterations: int


def conjugate_gradient(
    apply: LinearMap,
    right: Float[Tensor, "*n"],
    *,
    precondition: LinearMap,
    start: Float[Tensor, "*n"],
    tolerance: float = 1e-6,
    max_iterations: int = 200,
) -> LinearSolution:
    """Solution of ``A x = b`` for a symmetric positive definite ``A``, by preconditioned conjugate gradient.

    Several right-hand sides may share one tensor if ``A`` acts on each separately; they are solved as one system.

    Args:
        apply: ``x -> A x``.
        right: ``b``.
        precondition: ``r -> M^-1 r``, symmetric positive definite, close to ``A^-1``.
        start: initial solution.
        tolerance: relative residual at which to stop.
        max_iterations: maximum number of iterations.
    """
    scale = float(right.norm())
    if scale == 0.0:
        return LinearSolution(solution=torch.zeros_like(right), residual=0.0, iterations=0)
    solution, residual = start.clone(), right - apply(start)
    direction = precondition(residual).clone()
    energy = _inner(residual, direction)
    taken = 0
    while float(residual.norm()) > tolerance * scale and taken < max_iterations:
        taken += 1
        image = apply(direction)
        step = energy / _inner(direction, image)
        solution.add_(direction, alpha=step)
        residual.sub_(image, alpha=step)
        preconditioned = precondition(residual)
        energy, before = _inner(residual, preconditioned), energy
        direction.mul_(energy / before).add_(preconditioned)
    return LinearSolution(solution=solution, residual=float(residual.norm()) / scale, iterations=taken)


def _inner(first: Float[Tensor, "*n"], second: Float[Tensor, "*n"]) -> float:
    return float(torch.dot(first.flatten(), second.flatten()))
