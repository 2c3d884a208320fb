"""Votes of several label maps."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samereg.image.label_fusion import agreement_with, vote


def maps(*values: int) -> list[Tensor]:
    return [torch.full((1, 1, 1), value) for value in values]


def weights(*values: float) -> list[Tensor]:
    return [torch.full((1, 1, 1), value) for value in values]


def test_the_label_with_the_most_votes_wins() -> None:
    labels, agreement = vote(maps(3, 3, 5), weights(1.0, 1.0, 1.0))
    assert (labels.item(), round(agreement.item(), 6)) == (3, round(2 / 3, 6))


def test_one_vote_that_counts_more_wins() -> None:
    labels, agreement = vote(maps(3, 3, 5), weights(0.2, 0.2, 0.6))
    assert (labels.item(), round(agreement.item(), 6)) == (5, 0.6)


def test_of_equal_votes_the_smaller_label_wins() -> None:
    assert vote(maps(7, 2), weights(1.0, 1.0))[0].item() == 2
    assert vote(maps(7, 0), weights(1.0, 1.0))[0].item() == 0


def test_where_nobody_votes_there_is_no_label_and_no_agreement() -> None:
    labels, agreement = vote(maps(7, 2), weights(0.0, 0.0))
    assert (labels.item(), agreement.item()) == (0, 0.0)
    assert agreement_with(labels, maps(7, 2), weights(0.0, 0.0)).item() == 0.0


@given(st.lists(st.integers(-3, 9), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_voters_does_not_matter_and_agreement_is_that_with_the_winner(values: list[int], random) -> None:
    labels, agreement = vote(maps(*values), weights(*[1.0] * len(values)))
    shuffled = list(values)
    random.shuffle(shuffled)
    assert torch.equal(vote(maps(*shuffled), weights(*[1.0] * len(values)))[0], labels)
    assert torch.equal(agreement_with(labels, maps(*values), weights(*[1.0] * len(values))), agreement)
    assert agreement.item() >= 1 / len(values)
