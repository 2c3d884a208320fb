"""Lesions matched where the truth is known."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samereg.metrics.lesion_matching import Expected, match_lesions
from samereg.metrics.lesions import Lesion


def lesion(number: int, x: float, y: float = 0.0, longest: float | None = 10.0) -> Lesion:
    return Lesion(number=number, centre_mm=torch.tensor([x, y, 0.0], dtype=torch.float64), longest_mm=longest)


def expected(number: int, x: float, error_mm: float = 3.0, longest: float | None = 10.0) -> Expected:
    found = lesion(number, x, longest=longest)
    return Expected(lesion=found, place_mm=found.centre_mm, error_mm=error_mm)


def test_the_assignment_as_a_whole_is_the_nearest() -> None:
    # Taken one by one, the first would take the second's partner.
    matches = match_lesions([expected(1, 0.0), expected(2, 8.0)], [lesion(5, 5.0), lesion(6, 14.0)])
    assert matches.same == {1: 5, 2: 6}


def test_a_lesion_out_of_reach_is_another_one() -> None:
    matches = match_lesions([expected(1, 0.0)], [lesion(5, 19.0)])
    assert matches.same == {}
    assert match_lesions([expected(1, 0.0, error_mm=8.0)], [lesion(5, 19.0)]).same == {1: 5}


def test_nothing_matches_nothing() -> None:
    assert match_lesions([], [lesion(1, 0.0)]).same == {}
    assert match_lesions([expected(1, 0.0)], []).same == {}


def test_overlap_counts_more_than_a_nearer_centre() -> None:
    overlap = torch.tensor([[0, 90, 100], [50, 200, 0]])
    matches = match_lesions([expected(1, 0.0)], [lesion(5, 2.0), lesion(6, 6.0)], overlap)
    assert matches.same == {1: 6}


def test_two_that_became_one_are_merged_and_one_that_became_two_is_split() -> None:
    overlap = torch.tensor([[80, 100], [90, 100], [260, 0]])
    merged = match_lesions([expected(1, -4.0), expected(2, 4.0)], [lesion(5, 0.5)], overlap)
    assert (merged.same, merged.merged) == ({2: 5}, {1: 5})
    split = match_lesions([expected(5, 0.5)], [lesion(1, -4.0), lesion(2, 4.0)], overlap.T.contiguous())
    assert (split.same, split.split) == ({5: 2}, {1: 5})


def test_a_match_that_the_expected_error_could_turn_is_doubtful() -> None:
    close = match_lesions([expected(1, 0.0, error_mm=5.0)], [lesion(5, 2.0), lesion(6, -3.0)])
    assert (close.same, list(close.doubtful)) == ({1: 5}, [1])
    assert "lesion 6" in close.doubtful[1]
    clear = match_lesions([expected(1, 0.0, error_mm=2.0)], [lesion(5, 1.0), lesion(6, -9.0)])
    assert clear.doubtful == {}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12, unique=True), st.randoms())
def test_lesions_farther_apart_than_twice_the_error_are_always_matched_rightly(places, random) -> None:
    earlier = [lesion(n, 12.0 * x, 12.0 * y, longest=None) for n, (x, y) in enumerate(places, 1)]
    offsets = [torch.tensor([random.uniform(-3, 3), random.uniform(-3, 3), 0.0]).double() for _ in places]
    later = [
        Lesion(number=100 + each.number, centre_mm=each.centre_mm + offset)
        for each, offset in zip(earlier, offsets, strict=True)
    ]
    random.shuffle(later)
    carried = [Expected(lesion=each, place_mm=each.centre_mm, error_mm=4.0) for each in earlier]
    assert match_lesions(carried, later).same == {each.number: 100 + each.number for each in earlier}
