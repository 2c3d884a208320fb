"""Weighted least-squares fit of spline displacements to matches, with a smoothness penalty."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.estimate.spline import (
    AlongAxes,
    Sampling,
    SplineLattice,
    apply_along,
    cosines,
    sampling,
    squared_frequencies,
)
from samereg.ops.solve import LinearSolution, conjugate_gradient

MATCHES_PER_MM3 = 1.0 / 16.0**3
"""Reference density of the smoothing length: the paper's spacing of matches."""

MAX_SOLVER_STEPS = 600


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplineProblem:
    """Matches, the spline lattice, and its penalty.

    Attributes:
        points_mm: points in the fixed world.
        displacement_mm: displacement of each.
        weights: of the matches, of mean 1.
        lattice: control points.
        sampling: from control values to values at the points.
        cosines: from amplitudes of cosines to control values.
        penalty: eigenvalues of the smoothness penalty in the cosine basis.
    """

    points_mm: Float64[Tensor, "n 3"]
    displacement_mm: Float64[Tensor, "n 3"]
    weights: Float64[Tensor, " n"]
    lattice: SplineLattice
    sampling: Sampling
    cosines: AlongAxes
    penalty: Float64[Tensor, "d h w"]

    @property
    def level(self) -> Float64[Tensor, "d h w 3"]:
        """Initial control displacements: a translation by the weighted mean displacement."""
        mean = (self.weights[:, None] * self.displacement_mm).sum(0) / self.weights.sum()
        return mean.expand(*self.lattice.grid.shape, 3).contiguous()


def spline_problem(
    lattice: SplineLattice,
    points_mm: Float64[Tensor, "n 3"],
    displacement_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
    smoothing_mm: float,
    levelling_mm: float,
) -> SplineProblem:
    """Builds the fitting problem.

    Args:
        lattice: of the splines, complete at every point.
        points_mm: world frame (LPS+).
        displacement_mm: displacement of each.
        weights: of the matches, of mean 1.
        smoothing_mm: penalty and data have equal weight at the wave number 1 over this length.
        levelling_mm: at a wave number of 1 over this length the penalty of slopes equals that of roughness.
    """
    return SplineProblem(
        points_mm=points_mm,
        displacement_mm=displacement_mm,
        weights=weights,
        lattice=lattice,
        sampling=sampling(lattice, points_mm),
        cosines=cosines(lattice),
        penalty=_penalty(lattice, smoothing_mm, levelling_mm),
    )


def residual_mm(problem: SplineProblem, control: Float64[Tensor, "d h w 3"]) -> Float64[Tensor, " n"]:
    """Residual of each displacement."""
    predicted = _sampled(problem.sampling, problem.sampling.along, control.movedim(-1, 0))
    return (predicted - problem.displacement_mm).square().sum(1).sqrt()


def solve(
    problem: SplineProblem, trust: Float64[Tensor, " n"], *, start: Float64[Tensor, "d h w 3"], tolerance: float
) -> LinearSolution:
    """Control displacements ``c`` that minimise ``sum_i t_i |u_c(p_i) - d_i|^2 + penalty(c)``.

    Solved in the cosine basis, in which the penalty is diagonal; preconditioned as if matches of the mean density
    were everywhere, which is also diagonal.

    Args:
        problem: matches, lattice and penalty.
        trust: ``t``, replaces the weights of the problem.
        start: initial solution.
        tolerance: relative residual at which the solver stops.
    """
    sampling, to_cosines = problem.sampling, _transposed(problem.cosines)
    to_nodes = _after(problem.cosines, sampling.along)
    from_nodes = _transposed(to_nodes)
    diagonal = 1.0 / (_mean_density(sampling, trust) + problem.penalty)

    def apply(amplitudes: Tensor) -> Tensor:
        sampled = trust[:, None] * _sampled(sampling, to_nodes, amplitudes)
        return torch.addcmul(_spread(sampling, from_nodes, sampled), problem.penalty, amplitudes)

    with _one_thread():
        solved = conjugate_gradient(
            apply,
            _spread(sampling, from_nodes, trust[:, None] * problem.displacement_mm),
            precondition=lambda residual: residual * diagonal,
            start=apply_along(start.movedim(-1, 0), to_cosines),
            tolerance=tolerance,
            max_iterations=MAX_SOLVER_STEPS,
        )
    return replace(solved, solution=apply_along(solved.solution, problem.cosines).movedim(0, -1).contiguous())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Context with one thread: with thousands of small operations, threads gain little and may wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _sampled(sampling: Sampling, to_nodes: AlongAxes, values: Float64[Tensor, "c d h w"]) -> Float64[Tensor, "n c"]:
    """Values at the points, from values that `to_nodes` maps to the nodes."""
    nodes = apply_along(values, to_nodes).flatten(1).T.contiguous()
    return torch.from_numpy(sampling.pick @ nodes.numpy())


def _spread(sampling: Sampling, from_nodes: AlongAxes, values: Float64[Tensor, "n c"]) -> Float64[Tensor, "c d h w"]:
    """The transpose of `_sampled`."""
    nodes = torch.from_numpy(sampling.spread @ values.numpy()).T
    return apply_along(nodes.unflatten(1, [matrix.shape[1] for matrix in from_nodes]), from_nodes)


def _mean_density(sampling: Sampling, trust: Float64[Tensor, " n"]) -> float:
    """Mean weight per control point with any weight."""
    density = _spread(sampling, _transposed(sampling.along), trust[:, None])
    return float(density.square().sum() / density.sum())


def _after(first: AlongAxes, then: AlongAxes) -> AlongAxes:
    along_d, along_h, along_w = (b @ a for a, b in zip(first, then, strict=True))
    return along_d, along_h, along_w


def _transposed(along: AlongAxes) -> AlongAxes:
    along_d, along_h, along_w = (matrix.T.contiguous() for matrix in along)
    return along_d, along_h, along_w


def _penalty(lattice: SplineLattice, smoothing_mm: float, levelling_mm: float) -> Float64[Tensor, "d h w"]:
    """``s h^3 (k^6 + k^2 / l^4)``: it weighs as much as the data at a wave number of 1 / `smoothing_mm`.

    The first term alone lets a field grow as a square beyond its matches, and leaves the linear system so badly
    conditioned that what stands there is decided by when the solver stops.
    """
    stiffness = MATCHES_PER_MM3 * smoothing_mm**6 * lattice.spacing_mm**3
    squared = squared_frequencies(lattice)
    penalty: Tensor = stiffness * (squared**3 + squared / levelling_mm**4)
    return penalty
