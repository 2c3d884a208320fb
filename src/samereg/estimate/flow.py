"""Conversion of predicted or optimised fields at the cells of the fixed scan to transforms of the world."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from samereg.estimate.aligned import CELL_VOX
from samereg.estimate.loop import iterate
from samereg.estimate.outcome import Outcome
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_index_field, from_transform, jacobian_determinant_mm
from samereg.geometry.grid import Grid, padded, strided
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.ops.fields import exponential, jacobian_determinant, squarings_for
from samereg.ops.filters import gaussian_smooth

MARGIN_CELLS = 8
"""Margin in mm around the fixed scan over which a fine field decays to zero without folding."""

MIN_JACOBIAN = 0.02
"""Minimum Jacobian determinant of a flow, which may fold when interpolated trilinearly between voxels."""

SMOOTHED_CELLS = 1.0
"""Standard deviation of the smoothing around compressed regions."""

REACH_CELLS = 2
ROUNDS = 40

WEAKENED_CELLS = 4
"""Radius around a fold of flow and start in which the velocity is reduced."""

WEAKENED_BY = 0.5
"""Fraction by which the velocity is reduced at a fold, per round."""


def flow_of(velocity_cells: Float[Tensor, "1 3 d h w"], grid: Grid) -> tuple[Velocity, Outcome]:
    """Flow of a velocity without folding: the velocity is smoothed where the Jacobian would approach zero.

    Args:
        velocity_cells: at the cells of the fixed scan, cells along (d, h, w).
        grid: model space of the fixed scan.

    Returns:
        Flow on the cells and a margin in which it decays, and the outcome of the smoothing.
    """
    tamed, outcome = iterate(
        _smoothed,
        _Compressed.of(velocity_cells),
        max_iterations=ROUNDS,
        done=lambda before, _: before.smallest >= MIN_JACOBIAN,
    )
    velocity = faded(tamed.velocity, grid)
    message = "folds nowhere" if outcome.converged else "may fold: smoothing the velocity did not converge"
    return (
        Velocity(grid=velocity.grid, data=velocity.data),
        Outcome(converged=outcome.converged, message=message, iterations=outcome.iterations),
    )


def flow_before(
    velocity_cells: Float[Tensor, "1 3 d h w"], grid: Grid, start: Transform, body: Bool[Tensor, "fd fh fw"]
) -> tuple[Velocity, Outcome]:
    """Flow of a velocity, reduced wherever its composition with the transform that follows would fold.

    Neither of the two folds, but their composition may fold between voxels where `start` compresses.

    Args:
        velocity_cells: at the cells of the fixed scan, cells along (d, h, w).
        grid: model space of the fixed scan.
        start: transform after the flow.
        body: body mask on `grid` (fd, fh, fw), finer than the cells.

    Returns:
        Flow as from `flow_of`, and the outcome.
    """
    at = slice(None, None, CELL_VOX)
    inside = body[at, at, at].cpu()
    first, tamed = flow_of(velocity_cells, grid)
    weakened, outcome = iterate(
        lambda before: _reduced(before, grid, start, inside),
        _Joined(velocity=velocity_cells, flow=first, folded=_folded(first, grid, start, inside)),
        max_iterations=ROUNDS,
        done=lambda before, _: not bool(before.folded.any()),
    )
    message = tamed.message if outcome.converged else "may fold where the initial transform compresses too much"
    converged = tamed.converged and outcome.converged
    return weakened.flow, Outcome(converged=converged, message=message, iterations=outcome.iterations)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Joined:
    """A velocity, its flow, and the cells at which the composition of flow and start folds."""

    velocity: Float[Tensor, "1 3 d h w"]
    flow: Velocity
    folded: Bool[Tensor, "d h w"]


def _folded(flow: Velocity, grid: Grid, start: Transform, inside: Bool[Tensor, "d h w"]) -> Bool[Tensor, "d h w"]:
    joined = from_transform(chain(first=flow, then=start), strided(grid, CELL_VOX))
    return (jacobian_determinant_mm(joined) <= 0.0) & inside


def _reduced(state: _Joined, grid: Grid, start: Transform, inside: Bool[Tensor, "d h w"]) -> _Joined:
    """Reduces the velocity around every fold; unchanged elsewhere."""
    if not bool(state.folded.any()):
        return state
    width = 2 * WEAKENED_CELLS + 1
    near = functional.max_pool3d(state.folded[None, None].float(), width, stride=1, padding=WEAKENED_CELLS)
    blend = gaussian_smooth(near, (WEAKENED_CELLS / 2.0,) * 3).to(state.velocity)
    velocity = state.velocity * (1.0 - WEAKENED_BY * blend)
    flow, _ = flow_of(velocity, grid)
    return _Joined(velocity=velocity, flow=flow, folded=_folded(flow, grid, start, inside))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Compressed:
    """A velocity and the Jacobian determinant of its flow."""

    velocity: Float[Tensor, "1 3 d h w"]
    jacobian: Float[Tensor, "1 d h w"]

    @property
    def smallest(self) -> float:
        return float(self.jacobian.min())

    @staticmethod
    def of(velocity: Tensor) -> "_Compressed":
        flow = exponential(velocity, squarings=squarings_for(velocity))
        return _Compressed(velocity=velocity, jacobian=jacobian_determinant(flow))


def _smoothed(state: _Compressed) -> _Compressed:
    """Smooths around all cells below the minimum Jacobian; unchanged elsewhere."""
    if state.smallest >= MIN_JACOBIAN:
        return state
    squeezed = (state.jacobian < MIN_JACOBIAN).float()[:, None]
    width = 2 * REACH_CELLS + 1
    near = functional.max_pool3d(squeezed, width, stride=1, padding=REACH_CELLS)
    blend = functional.avg_pool3d(near, 3, stride=1, padding=1, count_include_pad=False)
    smooth = gaussian_smooth(state.velocity, (SMOOTHED_CELLS,) * 3)
    return _Compressed.of(torch.lerp(state.velocity, smooth, blend))


def faded(field_cells: Float[Tensor, "1 3 d h w"], grid: Grid) -> Displacement:
    """World field from a field at the cells of a fixed grid, extended beyond the scan and decaying to zero there.

    Args:
        field_cells: displacement or velocity, cells along (d, h, w).
        grid: model space of the fixed scan.
    """
    cells = strided(grid, CELL_VOX)
    margin = (MARGIN_CELLS, MARGIN_CELLS, MARGIN_CELLS)
    wider = torch.nn.functional.pad(field_cells.cpu(), (MARGIN_CELLS,) * 6, mode="replicate")
    for axis, count in enumerate(cells.shape):
        index = torch.arange(-MARGIN_CELLS, count + MARGIN_CELLS)
        outside = torch.maximum(-index, index - (count - 1)).clamp(min=0)
        fade = 1.0 - outside / MARGIN_CELLS
        wider = wider * fade.view([-1 if axis == k else 1 for k in range(3)])
    return from_index_field(wider, padded(cells, margin, margin))
