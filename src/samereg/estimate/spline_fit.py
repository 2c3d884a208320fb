"""Weighted least squares of spline displacements through matches, with a penalty on roughness."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from scipy import fft, sparse
from torch import Tensor

from samereg.estimate.spline import SplineLattice, sampling_matrix, squared_frequencies
from samereg.ops.solve import LinearSolution, conjugate_gradient

MATCHES_PER_MM3 = 1.0 / 16.0**3
"""Density at which the smoothing length means what it says: the paper's spacing of matches."""

MOST_SOLVER_STEPS = 200


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplineProblem:
    """Matches, the spline lattice, and its penalty.

    Attributes:
        points_mm: points in the fixed world.
        displacement_mm: displacement of each, to be followed.
        weights: trust in each, of mean 1.
        lattice: control points.
        sampling: matrix from control values to values at the points.
        spreading: its transpose.
        penalty: eigenvalues of the roughness penalty in the basis of cosines.
    """

    points_mm: Float64[Tensor, "n 3"]
    displacement_mm: Float64[Tensor, "n 3"]
    weights: Float64[Tensor, " n"]
    lattice: SplineLattice
    sampling: sparse.csr_array
    spreading: sparse.csr_array
    penalty: Float64[Tensor, "d h w 1"]

    @property
    def level(self) -> Float64[Tensor, "d h w 3"]:
        """Control displacements of a translation by the weighted mean displacement: a first guess."""
        mean = (self.weights[:, None] * self.displacement_mm).sum(0) / self.weights.sum()
        return mean.expand(*self.lattice.grid.shape, 3).contiguous()


def spline_problem(
    lattice: SplineLattice,
    points_mm: Float64[Tensor, "n 3"],
    displacement_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
    smoothing_mm: float,
) -> SplineProblem:
    """The problem of following displacements at points.

    Args:
        lattice: of the splines; its splines are complete at every point.
        points_mm: world frame (LPS+).
        displacement_mm: displacement of each.
        weights: trust in each, of mean 1.
        smoothing_mm: the penalty weighs as much as the data at a wave number of 1 over this length.
    """
    sampling = sampling_matrix(lattice, points_mm)
    return SplineProblem(
        points_mm=points_mm,
        displacement_mm=displacement_mm,
        weights=weights,
        lattice=lattice,
        sampling=sampling,
        spreading=sampling.T.tocsr(),
        penalty=_penalty(lattice, smoothing_mm),
    )


def residual_mm(problem: SplineProblem, control: Float64[Tensor, "d h w 3"]) -> Float64[Tensor, " n"]:
    """How far each displacement is from the spline's."""
    predicted = torch.from_numpy(problem.sampling @ control.reshape(-1, 3).numpy())
    return (predicted - problem.displacement_mm).square().sum(1).sqrt()


def solve(
    problem: SplineProblem, trust: Float64[Tensor, " n"], *, start: Float64[Tensor, "d h w 3"], tolerance: float
) -> LinearSolution:
    """Control displacements ``c`` that minimise ``sum_i t_i |u_c(p_i) - d_i|^2 + penalty(c)``.

    Solved in the basis of cosines, where the penalty is diagonal; preconditioned as if matches of the mean density
    stood everywhere, which is diagonal there too.

    Args:
        problem: matches, lattice and penalty.
        trust: ``t``, in place of the problem's own weights.
        start: first guess.
        tolerance: relative residual at which the solver stops.
    """
    weight = trust[:, None].numpy()
    density = torch.from_numpy(problem.spreading @ trust.numpy())
    mean_density = float(density.square().sum() / density.sum())

    def apply(amplitudes: Tensor) -> Tensor:
        control = _from_cosines(amplitudes)
        sampled = weight * (problem.sampling @ control.reshape(-1, 3).numpy())
        data = torch.from_numpy(problem.spreading @ sampled).reshape(control.shape)
        return _to_cosines(data) + problem.penalty * amplitudes

    pulled = problem.spreading @ (weight * problem.displacement_mm.numpy())
    solved = conjugate_gradient(
        apply,
        _to_cosines(torch.from_numpy(pulled).reshape(start.shape)),
        precondition=lambda residual: residual / (mean_density + problem.penalty),
        start=_to_cosines(start),
        tolerance=tolerance,
        max_iterations=MOST_SOLVER_STEPS,
    )
    return replace(solved, solution=_from_cosines(solved.solution))


def _to_cosines(control: Tensor) -> Tensor:
    return torch.from_numpy(fft.dctn(control.numpy(), axes=(0, 1, 2), norm="ortho", workers=-1))


def _from_cosines(amplitudes: Tensor) -> Tensor:
    return torch.from_numpy(fft.idctn(amplitudes.numpy(), axes=(0, 1, 2), norm="ortho", workers=-1))


def _penalty(lattice: SplineLattice, smoothing_mm: float) -> Float64[Tensor, "d h w 1"]:
    """``s h^3 k^6``: the penalty weighs as much as the data at a wave number of 1 / `smoothing_mm`."""
    stiffness = MATCHES_PER_MM3 * smoothing_mm**6 * lattice.spacing_mm**3
    penalty: Tensor = stiffness * squared_frequencies(lattice)[..., None] ** 3
    return penalty
