"""A transform is corrected so that it keeps landmarks, folds nothing, and stays as it was far away."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samereg.estimate.pinning import KEPT_MM, MIN_JACOBIAN, pin
from samereg.geometry.affine import Affine
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import axis_aligned_grid
from samereg.matching.landmarks import Landmarks

START = Affine.from_parts(
    torch.tensor([[1.1, 0.1, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64),
    torch.tensor([5.0, -3.0, 40.0], dtype=torch.float64),
)
LOOKED_AT = axis_aligned_grid((33, 33, 33), (8.0, 8.0, 8.0), (-128.0, -128.0, -128.0))


def landmarks(places: torch.Tensor, missed: torch.Tensor) -> Landmarks:
    names = tuple(f"p{number}" for number in range(len(places)))
    return Landmarks(names=names, fixed_mm=places, moving_mm=START.apply(places) + missed)


@settings(max_examples=4)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
def test_landmarks_are_kept_and_nothing_folds(seed: int, count: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    places = 100.0 * (torch.rand(count, 3, generator=drawn, dtype=torch.float64) - 0.5)
    # as anatomy does: near landmarks miss by nearly the same
    missed = 8.0 * torch.sin(places / 40.0) + 4.0
    given_pairs = landmarks(places, missed)
    found = pin(START, given_pairs)
    jacobian = jacobian_determinant_mm(from_transform(found.transform, LOOKED_AT))
    assert float(jacobian.min()) > 0.0
    assert found.outcome.converged is (float(given_pairs.residual_mm(found.transform).max()) <= KEPT_MM)
    assert found.outcome.converged


def test_what_is_kept_already_is_left_alone() -> None:
    assert pin(START, landmarks(torch.zeros(1, 3, dtype=torch.float64), torch.full((1, 3), 0.01))).transform is START


def test_places_far_from_all_landmarks_do_not_move() -> None:
    one = landmarks(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[6.0, 0.0, 0.0]], dtype=torch.float64))
    found = pin(START, one).transform
    far = torch.tensor([[0.0, 0.0, 60.0], [-70.0, 10.0, 0.0]], dtype=torch.float64)
    assert torch.equal(found.apply(far), START.apply(far))


def test_landmarks_that_no_map_keeps_are_named_and_nothing_folds() -> None:
    places = torch.tensor([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0]], dtype=torch.float64)
    crossed = landmarks(places, torch.tensor([[20.0, 0.0, 0.0], [-20.0, 0.0, 0.0]], dtype=torch.float64))
    found = pin(START, crossed)
    assert not found.outcome.converged
    assert "the landmark 'p1', 'p0'" in found.outcome.message
    jacobian = jacobian_determinant_mm(from_transform(found.transform, LOOKED_AT))
    assert float(jacobian.min()) >= MIN_JACOBIAN * 0.9
