"""Dense displacement fields from scattered matches: the paper's interpolation, and a smooth fold-free fit."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64
from scipy.spatial import Delaunay, cKDTree
from torch import Tensor

from samereg.errors import DegeneratePointsError
from samereg.estimate.loop import iterate
from samereg.estimate.outcome import Outcome
from samereg.estimate.spline import evaluate, lattice_around
from samereg.estimate.spline_fit import SplineProblem, residual_mm, solve, spline_problem
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import jacobian_determinant_mm
from samereg.geometry.grid import Grid, bounding_grid, voxel_centres_mm
from samereg.validation import Count, NonNegativeMm, PositiveMm, check_ranges

LINEAR_FIELD_MM = 8.0
"""Spacing of the interpolated field: half the paper's spacing of matches."""

MARGIN_MM = 16.0
"""How far a field reaches beyond the fixed scan, so that what lies just outside moves with it."""

FRAME_MM = 64.0
"""How far outside the field the frame stands that the matches' hull is extended to."""

FRAME_NEIGHBOURS = 64
"""Matches whose mean a point of the frame takes: enough to drown one outlier."""

SMALLEST_JACOBIAN = 0.1
"""Anatomy does not shrink to a tenth; well above 0, so that no cell between voxels folds either."""

FIRST_OUTLIER_RATIO = 4.0
"""Outliers are told apart at this multiple of their distance at first, when the field is still poor."""

FIRST_STIFFNESS_RATIO = 4.0
"""The field starts this much stiffer, so that a cluster of outliers does not bend it to itself."""

ROUGH_TOLERANCE = 3e-2
FINAL_TOLERANCE = 3e-4
"""Relative residual of the linear solver in the last round; a hundredth of it moves the field by under 0.1 mm."""

UNFOLDING_ROUNDS = 12
UNFOLDING_TRUST = 0.25
"""What each round leaves of the trust in matches around a fold."""

UNFOLDING_REACH = 1.5
"""Reach of a fold, in lattice spacings, in the first round; and its growth from round to round."""

MOST_HALVINGS = 60
"""What is left of any field then is below rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegularisedFill:
    """Settings of the regularised filler.

    Attributes:
        smoothing_mm: length of the smoothing: detail of wavelengths under ``2 pi`` times this fades, for one
            match each 16 mm (denser matches show more). Larger is smoother; the penalty grows with its sixth
            power.
        levelling_mm: over about this length beyond the outermost matches the field levels off; smaller is stiffer.
        outlier_mm: a match this far from the field counts for a quarter (the scale ``c`` of Geman and McClure,
            ``(c^2 / (c^2 + r^2))^2``), three times as far for a hundredth. Smaller rejects more.
        lattice_mm: spacing of the control points; larger is smoother and faster.
        field_mm: spacing of the field that is returned.
        margin_mm: how far the field reaches beyond the fixed scan; `estimate.fading` continues it to zero.
        rounds: reweightings, from everything trusted down to `outlier_mm`.
    """

    smoothing_mm: PositiveMm = 13.0
    levelling_mm: PositiveMm = 25.0
    outlier_mm: PositiveMm = 14.0
    lattice_mm: PositiveMm = 16.0
    field_mm: PositiveMm = 6.0
    margin_mm: NonNegativeMm = 16.0
    rounds: Count = 6

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FilledField:
    """A dense field and how it was found.

    Attributes:
        displacement: fixed world to moving world.
        inliers: matches within `outlier_mm` of the field.
        outcome: how the fit ended; `iterations` counts the steps of the linear solver.
    """

    displacement: Displacement
    inliers: Bool[Tensor, " n"]
    outcome: Outcome


def fill_linear(fixed_mm: Float64[Tensor, "n 3"], displacement_mm: Float64[Tensor, "n 3"], grid: Grid) -> Displacement:
    """Displacements interpolated linearly between matches (SAME, section 2.2): goes through every match.

    Barycentric in the Delaunay tetrahedra of the points. The paper does not say what holds outside their hull;
    here the hull is extended to a frame around the field, whose points take the mean of the nearest matches
    (weighted by inverse squared distance), so that the field is continuous and never grows. Neither smooths
    nor rejects: noise and outliers stay, and the field may fold.

    Args:
        fixed_mm: points in the fixed image, world frame (LPS+), mm; no two alike.
        displacement_mm: displacement of each, fixed world to moving world.
        grid: fixed grid to cover.

    Returns:
        Field over `grid` and 16 mm more on every side, one vector each 8 mm.

    Raises:
        DegeneratePointsError: no points.
    """
    _refuse_none(fixed_mm)
    field_grid = bounding_grid(grid, spacing_mm=LINEAR_FIELD_MM, margin_mm=MARGIN_MM)
    frame_mm = _frame(field_grid)
    points = torch.cat([fixed_mm, frame_mm])
    values = torch.cat([displacement_mm, _mean_of_nearest(fixed_mm, displacement_mm, frame_mm)])
    filled = _interpolated(points, values, voxel_centres_mm(field_grid).flatten(0, 2))
    return Displacement(grid=field_grid, data=filled.T.reshape(3, *field_grid.shape).contiguous())


def fill_regularised(
    fixed_mm: Float64[Tensor, "n 3"],
    displacement_mm: Float64[Tensor, "n 3"],
    *,
    weights: Float64[Tensor, " n"],
    grid: Grid,
    settings: RegularisedFill,
) -> FilledField:
    """Smooth displacements that follow most matches and fold nowhere.

    Cubic B-splines ``u`` on a coarse lattice that minimise
    ``sum_i w_i rho(|u(p_i) - d_i|) + s integral (|grad laplace u|^2 + |grad u|^2 / l^4)``, with ``rho`` of Geman and
    McClure; where the result would fold, the matches around are trusted less until it does not. Far from all matches
    the field levels off.

    Args:
        fixed_mm: points ``p`` in the fixed image, world frame (LPS+), mm.
        displacement_mm: displacement ``d`` of each, fixed world to moving world.
        weights: trust in each match, >= 0; only ratios matter.
        grid: fixed grid to cover.
        settings: stiffness, outlier distance, resolution.

    Returns:
        Field over `grid` and a margin, whose Jacobian determinant is at least `SMALLEST_JACOBIAN` at every
        voxel of the field. The same for the same input, to the bit.

    Raises:
        DegeneratePointsError: no points, or all weights zero.
    """
    _refuse_none(fixed_mm)
    if not float(weights.sum()) > 0.0:
        raise DegeneratePointsError(f"a field needs matches with weight, got {len(weights)} of weight 0")
    field_grid = bounding_grid(grid, spacing_mm=settings.field_mm, margin_mm=settings.margin_mm)
    problem = spline_problem(
        lattice_around(field_grid, settings.lattice_mm),
        fixed_mm,
        displacement_mm,
        weights=_of_mean_one(weights),
        smoothing_mm=settings.smoothing_mm,
        levelling_mm=settings.levelling_mm,
    )
    fitted, _ = iterate(
        lambda fit: _reweighted(problem, fit, settings),
        _Fit(control=problem.level, trust=problem.weights),
        max_iterations=settings.rounds,
        done=lambda _, after: after.rounds_done == settings.rounds,
    )
    unfolded, outcome = _unfolded(problem, fitted, field_grid)
    inliers = residual_mm(problem, unfolded.fit.control) < settings.outlier_mm
    return FilledField(displacement=unfolded.displacement, inliers=inliers, outcome=outcome)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Fit:
    """Control displacements in mm, and the trust in each match that they were found with."""

    control: Float64[Tensor, "d h w 3"]
    trust: Float64[Tensor, " n"]
    rounds_done: int = 0
    steps: int = 0


def _reweighted(problem: SplineProblem, fit: _Fit, settings: RegularisedFill) -> _Fit:
    """One round: everything trusted in the first, then less and less of what lies off."""
    left = 1.0 - fit.rounds_done / max(1, settings.rounds - 1)
    trust = problem.weights
    if fit.rounds_done:
        scale_mm = settings.outlier_mm * FIRST_OUTLIER_RATIO**left
        trust = trust / (1.0 + (residual_mm(problem, fit.control) / scale_mm) ** 2) ** 2
    stiffer = replace(problem, penalty=problem.penalty * FIRST_STIFFNESS_RATIO**left)
    tolerance = ROUGH_TOLERANCE if left else FINAL_TOLERANCE
    solved = solve(stiffer, trust, start=fit.control, tolerance=tolerance)
    return _Fit(
        control=solved.solution, trust=trust, rounds_done=fit.rounds_done + 1, steps=fit.steps + solved.iterations
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Unfolding:
    """A fit on the wanted grid, and its Jacobian determinant there."""

    fit: _Fit
    displacement: Displacement
    jacobian: Tensor
    rounds_done: int = 0

    @property
    def smallest(self) -> float:
        return float(self.jacobian.min())


def _unfolded(problem: SplineProblem, fit: _Fit, grid: Grid) -> tuple[_Unfolding, Outcome]:
    """The fit on the wanted grid, its matches trusted less around folds; as a last resort, shrunk."""
    first = _measured(problem, fit, grid, rounds_done=0)
    if first.smallest >= SMALLEST_JACOBIAN:
        return first, Outcome(converged=True, message="converged", iterations=fit.steps)
    last, loosened = iterate(
        lambda state: _loosened(problem, state, grid),
        first,
        max_iterations=UNFOLDING_ROUNDS,
        done=lambda _, after: after.smallest >= SMALLEST_JACOBIAN,
    )
    steps = last.fit.steps
    if loosened.converged:
        message = f"converged; unfolded in {last.rounds_done} rounds"
        return last, Outcome(converged=True, message=message, iterations=steps)
    message = "the matches contradict each other; the field was shrunk so that it does not fold"
    return _shrunk(problem, last, grid), Outcome(converged=False, message=message, iterations=steps)


def _measured(problem: SplineProblem, fit: _Fit, grid: Grid, *, rounds_done: int) -> _Unfolding:
    field = evaluate(problem.lattice, fit.control, grid).float()
    displacement = Displacement(grid=grid, data=field)
    jacobian = jacobian_determinant_mm(displacement)
    return _Unfolding(fit=fit, displacement=displacement, jacobian=jacobian, rounds_done=rounds_done)


def _loosened(problem: SplineProblem, state: _Unfolding, grid: Grid) -> _Unfolding:
    """Solved again with less trust in the matches around every fold."""
    reach_mm = UNFOLDING_REACH ** (1 + state.rounds_done) * problem.lattice.spacing_mm
    folds_mm = voxel_centres_mm(grid)[state.jacobian < SMALLEST_JACOBIAN]
    distance_mm, _ = cKDTree(folds_mm.numpy()).query(problem.points_mm.numpy(), distance_upper_bound=reach_mm)
    near = torch.isfinite(torch.from_numpy(distance_mm))
    trust = torch.where(near, state.fit.trust * UNFOLDING_TRUST, state.fit.trust)
    solved = solve(problem, trust, start=state.fit.control, tolerance=FINAL_TOLERANCE)
    steps = state.fit.steps + solved.iterations
    fit = _Fit(control=solved.solution, trust=trust, rounds_done=state.fit.rounds_done, steps=steps)
    return _measured(problem, fit, grid, rounds_done=state.rounds_done + 1)


def _shrunk(problem: SplineProblem, state: _Unfolding, grid: Grid) -> _Unfolding:
    """The field scaled down about its mean, by halves, until it folds nowhere: at zero it is a translation."""
    mean = state.fit.control.mean(dim=(0, 1, 2))

    def halved(before: _Unfolding) -> _Unfolding:
        fit = replace(before.fit, control=mean + 0.5 * (before.fit.control - mean))
        return _measured(problem, fit, grid, rounds_done=before.rounds_done)

    shrunk, _ = iterate(
        halved,
        state,
        max_iterations=MOST_HALVINGS,
        done=lambda _, after: after.smallest >= SMALLEST_JACOBIAN,
    )
    return shrunk


def _interpolated(
    points: Float64[Tensor, "n 3"], values: Float64[Tensor, "n 3"], places: Float64[Tensor, "m 3"]
) -> Float64[Tensor, "m 3"]:
    """Values at places within the hull of points, linear in each Delaunay tetrahedron.

    What scipy.interpolate does too; loading it would take a quarter of a second of every start of the program.
    """
    mesh = Delaunay(points.numpy())
    cells = mesh.find_simplex(places.numpy())
    affine = torch.from_numpy(mesh.transform[cells])
    first = torch.einsum("mij,mj->mi", affine[:, :3], places - affine[:, 3])
    weights = torch.cat([first, 1.0 - first.sum(dim=1, keepdim=True)], dim=1)
    return (weights[:, :, None] * values[torch.from_numpy(mesh.simplices[cells]).long()]).sum(dim=1)


def _of_mean_one(weights: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """The same for weights of the same ratios, to the bit.

    In single precision after the largest is 1: what another scale rounds in double precision would otherwise grow in
    the solver up to its tolerance.
    """
    shares = (weights / weights.max()).float().double()
    return shares * (len(shares) / float(shares.sum()))


def _refuse_none(points_mm: Float64[Tensor, "n 3"]) -> None:
    if len(points_mm) == 0:
        raise DegeneratePointsError("a field needs at least one match, got none")


def _frame(grid: Grid) -> Float64[Tensor, "26 3"]:
    """Corners and middles of the edges and faces of a box around a grid."""
    ends = torch.stack([grid.to_world(torch.zeros(3)), grid.to_world(torch.tensor(grid.shape) - 1.0)])
    low, high = ends.amin(0) - FRAME_MM, ends.amax(0) + FRAME_MM
    unit = torch.linspace(0.0, 1.0, 3, dtype=torch.float64)
    box = torch.cartesian_prod(unit, unit, unit)
    return low + box[(box != 0.5).any(1)] * (high - low)


def _mean_of_nearest(
    points_mm: Float64[Tensor, "n 3"], values: Float64[Tensor, "n 3"], at_mm: Float64[Tensor, "m 3"]
) -> Float64[Tensor, "m 3"]:
    count = min(FRAME_NEIGHBOURS, len(points_mm))
    distances, nearest = cKDTree(points_mm.numpy()).query(at_mm.numpy(), k=list(range(1, count + 1)))
    weight = 1.0 / torch.from_numpy(distances).square().clamp(min=1.0)
    weight = weight / weight.sum(1, keepdim=True)
    return (weight[:, :, None] * values[torch.from_numpy(nearest)]).sum(1)
