import torch
from torch.nn import functional

from samereg.estimate.flow import flow_before, flow_of
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import axis_aligned_grid, strided

GRID = axis_aligned_grid((48, 48, 48), (2.0, 2.0, 2.0))
BODY = torch.zeros(GRID.shape, dtype=torch.bool)
BODY[8:40, 8:40, 8:40] = True
CELLS = tuple(strided(GRID, 2).shape)


def rough(seed, amplitude):
    """A velocity at the cells that bends within a few of them."""
    knots = torch.randn(1, 3, *(n // 4 for n in CELLS), generator=torch.Generator().manual_seed(seed))
    return amplitude * functional.interpolate(knots, size=CELLS, mode="trilinear", align_corners=True)


def folds(transform):
    inside = BODY[::2, ::2, ::2]
    return int(((jacobian_determinant_mm(from_transform(transform, strided(GRID, 2))) <= 0) & inside).sum())


def test_two_flows_that_fold_only_together_are_made_to_fold_nowhere():
    start, _ = flow_of(rough(1, 3.0), GRID)
    alone, _ = flow_of(rough(2, 3.0), GRID)
    assert folds(start) == folds(alone) == 0
    assert folds(chain(alone, start)) > 0
    weakened, outcome = flow_before(rough(2, 3.0), GRID, start, BODY)
    assert outcome.converged
    assert folds(chain(weakened, start)) == 0


def test_a_flow_that_folds_nowhere_is_left_as_it_is():
    velocity = rough(2, 0.3)
    flow, _ = flow_of(velocity, GRID)
    kept, outcome = flow_before(velocity, GRID, Affine.identity(), BODY)
    assert torch.equal(kept.data, flow.data)
    assert outcome.converged
