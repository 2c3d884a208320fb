"""Dense displacement fields from scattered matches: linear interpolation, and a smooth fit without folding."""

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
"""Spacing in mm of the interpolated field: half the paper's spacing of matches."""

MARGIN_MM = 16.0
"""Margin in mm of a field around the fixed scan."""

FRAME_MM = 64.0
"""Distance in mm from the field to the frame that extends the convex hull of the matches."""

FRAME_NEIGHBOURS = 64
"""Number of nearest matches averaged at a frame point, to limit the effect of outliers."""

MIN_JACOBIAN = 0.1
"""Minimum Jacobian determinant: positive by a margin, so that no cell between voxels folds either."""

FIRST_OUTLIER_RATIO = 4.0
"""Initial factor of the outlier distance, for the first, inaccurate fields."""

FIRST_STIFFNESS_RATIO = 4.0
"""Initial factor of the smoothing, so that clusters of outliers do not attract the field."""

ROUGH_TOLERANCE = 3e-2
FINAL_TOLERANCE = 3e-4
"""Relative residual of the linear solver in the last round; a hundredth of it moves the field by under 0.1 mm."""

UNFOLDING_ROUNDS = 12
UNFOLDING_TRUST = 0.25
"""Factor by which the weight of matches near a fold is reduced in each round."""

UNFOLDING_REACH = 1.5
"""Radius around a fold, in lattice spacings, in the first round, and its growth per round."""

MAX_HALVINGS = 60
"""Maximum number of halvings, after which any field is below rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegularisedFill:
    """Settings of the regularised filler.

    Attributes:
        smoothing_mm: smoothing length: wavelengths below ``2 pi`` times this are damped, for one
            match per 16 mm (less for denser matches). Larger is smoother; the penalty grows with its sixth
            power.
        levelling_mm: over about this length beyond the outermost matches the field levels off; smaller is stiffer.
        outlier_mm: residual at which a match has a quarter of its weight (the scale ``c`` of Geman and McClure,
            ``(c^2 / (c^2 + r^2))^2``), and at three times the residual a hundredth. Smaller rejects more.
        lattice_mm: spacing of the control points; larger is smoother and faster.
        field_mm: spacing of the field that is returned.
        margin_mm: margin of the field around the fixed scan; `estimate.fading` extends it to zero.
        rounds: number of reweightings, from uniform weights down to `outlier_mm`.
    """

    smoothing_mm: PositiveMm = 13.0
    levelling_mm: PositiveMm = 25.0
    outlier_mm: PositiveMm = 14.0
    lattice_mm: PositiveMm = 16.0
    field_mm: PositiveMm = 6.0
    margin_mm: NonNegativeMm = 16.0
    rounds: Count = 6

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FilledField:
    """Result of fitting a dense field.

    Attributes:
        displacement: fixed world to moving world.
        inliers: matches within `outlier_mm` of the field.
        outcome: how the fit ended; `iterations` are those of the linear solver.
    """

    displacement: Displacement
    inliers: Bool[Tensor, " n"]
    outcome: Outcome


def fill_linear(fixed_mm: Float64[Tensor, "n 3"], displacement_mm: Float64[Tensor, "n 3"], grid: Grid) -> Displacement:
    """Linear interpolation of displacements between matches (SAME, section 2.2), exact at every match.

    Barycentric in the Delaunay tetrahedra of the points. The paper does not define values outside their hull;
    here the hull is extended by a frame around the field, whose points take the mean of the nearest matches
    (weighted by inverse squared distance), so that the field is continuous and bounded. Neither smooths
    nor rejects outliers; the field may fold.

    Args:
        fixed_mm: distinct points in the fixed image, world frame (LPS+), mm.
        displacement_mm: displacement of each, fixed world to moving world.
        grid: fixed grid to cover.

    Returns:
        Field over `grid` and a margin of 16 mm, with 8 mm spacing.

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
    """Smooth, robust fit of displacements to matches, without folding.

    Cubic B-splines ``u`` on a coarse lattice that minimise
    ``sum_i w_i rho(|u(p_i) - d_i|) + s integral (|grad laplace u|^2 + |grad u|^2 / l^4)``, with ``rho`` of Geman and
    McClure; where the result would fold, the matches around are trusted less until it does not. Far from all matches
    the field becomes constant.

    Args:
        fixed_mm: points ``p`` in the fixed image, world frame (LPS+), mm.
        displacement_mm: displacement ``d`` of each, fixed world to moving world.
        weights: of the matches, >= 0; only ratios matter.
        grid: fixed grid to cover.
        settings: smoothing, outlier distance, resolution.

    Returns:
        Field over `grid` and a margin, whose Jacobian determinant is at least `MIN_JACOBIAN` at every
        voxel of the field. Bitwise reproducible.

    Raises:
        DegeneratePointsError: no points, or all weights zero.
    """
    _refuse_none(fixed_mm)
    if not float(weights.sum()) > 0.0:
        raise DegeneratePointsError(f"got {len(weights)} matches, all with weight 0; need matches with positive weight")
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
    """Control displacements in mm, and the weights of the matches in that fit."""

    control: Float64[Tensor, "d h w 3"]
    trust: Float64[Tensor, " n"]
    rounds_done: int = 0
    steps: int = 0


def _reweighted(problem: SplineProblem, fit: _Fit, settings: RegularisedFill) -> _Fit:
    """One reweighting round; the first uses uniform weights."""
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
    """A fit on the output grid, and its Jacobian determinant."""

    fit: _Fit
    displacement: Displacement
    jacobian: Tensor
    rounds_done: int = 0

    @property
    def smallest(self) -> float:
        return float(self.jacobian.min())


def _unfolded(problem: SplineProblem, fit: _Fit, grid: Grid) -> tuple[_Unfolding, Outcome]:
    """The fit on the output grid, with reduced weights near folds; scaled down as a last resort."""
    first = _measured(problem, fit, grid, rounds_done=0)
    if first.smallest >= MIN_JACOBIAN:
        return first, Outcome(converged=True, message="converged", iterations=fit.steps)
    last, loosened = iterate(
        lambda state: _with_less_weight(problem, state, grid),
        first,
        max_iterations=UNFOLDING_ROUNDS,
        done=lambda _, after: after.smallest >= MIN_JACOBIAN,
    )
    steps = last.fit.steps
    if loosened.converged:
        message = f"converged; unfolded in {last.rounds_done} rounds"
        return last, Outcome(converged=True, message=message, iterations=steps)
    message = "the matches contradict each other; the field was scaled down so that it does not fold"
    return _scaled_down(problem, last, grid), Outcome(converged=False, message=message, iterations=steps)


def _measured(problem: SplineProblem, fit: _Fit, grid: Grid, *, rounds_done: int) -> _Unfolding:
    field = evaluate(problem.lattice, fit.control, grid).float()
    displacement = Displacement(grid=grid, data=field)
    jacobian = jacobian_determinant_mm(displacement)
    return _Unfolding(fit=fit, displacement=displacement, jacobian=jacobian, rounds_done=rounds_done)


def _with_less_weight(problem: SplineProblem, state: _Unfolding, grid: Grid) -> _Unfolding:
    """Solves again with reduced weights of the matches near every fold."""
    reach_mm = UNFOLDING_REACH ** (1 + state.rounds_done) * problem.lattice.spacing_mm
    folds_mm = voxel_centres_mm(grid)[state.jacobian < MIN_JACOBIAN]
    distance_mm, _ = cKDTree(folds_mm.numpy()).query(problem.points_mm.numpy(), distance_upper_bound=reach_mm)
    near = torch.isfinite(torch.from_numpy(distance_mm))
    trust = torch.where(near, state.fit.trust * UNFOLDING_TRUST, state.fit.trust)
    solved = solve(problem, trust, start=state.fit.control, tolerance=FINAL_TOLERANCE)
    steps = state.fit.steps + solved.iterations
    fit = _Fit(control=solved.solution, trust=trust, rounds_done=state.fit.rounds_done, steps=steps)
    return _measured(problem, fit, grid, rounds_done=state.rounds_done + 1)


def _scaled_down(problem: SplineProblem, state: _Unfolding, grid: Grid) -> _Unfolding:
    """The field scaled towards its mean, by halves, until it does not fold: at zero it is a translation."""
    mean = state.fit.control.mean(dim=(0, 1, 2))

    def halved(before: _Unfolding) -> _Unfolding:
        fit = replace(before.fit, control=mean + 0.5 * (before.fit.control - mean))
        return _measured(problem, fit, grid, rounds_done=before.rounds_done)

    shrunk, _ = iterate(
        halved,
        state,
        max_iterations=MAX_HALVINGS,
        done=lambda _, after: after.smallest >= MIN_JACOBIAN,
    )
    return shrunk


def _interpolated(
    points: Float64[Tensor, "n 3"], values: Float64[Tensor, "n 3"], places: Float64[Tensor, "m 3"]
) -> Float64[Tensor, "m 3"]:
    """Linear interpolation in the Delaunay tetrahedra of points.

    Equivalent to scipy.interpolate, whose import would add a quarter of a second to every start.
    """
    mesh = Delaunay(points.numpy())
    cells = mesh.find_simplex(places.numpy())
    affine = torch.from_numpy(mesh.transform[cells])
    first = torch.einsum("mij,mj->mi", affine[:, :3], places - affine[:, 3])
    weights = torch.cat([first, 1.0 - first.sum(dim=1, keepdim=True)], dim=1)
    return (weights[:, :, None] * values[torch.from_numpy(mesh.simplices[cells]).long()]).sum(dim=1)


def _of_mean_one(weights: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Weights normalised to mean one, bitwise equal for equal ratios.

    Rounded to single precision relative to the maximum: rounding of another scale would otherwise grow in
    the solver up to its tolerance.
    """
    shares = (weights / weights.max()).float().double()
    return shares * (len(shares) / float(shares.sum()))


def _refuse_none(points_mm: Float64[Tensor, "n 3"]) -> None:
    if len(points_mm) == 0:
        raise DegeneratePointsError("a field needs at least one match, got none")


def _frame(grid: Grid) -> Float64[Tensor, "26 3"]:
    """Corners, edge centres and face centres of a box around a grid."""
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
