import torch
from hypothesis import given
from hypothesis import strategies as st

from samereg.metrics.overlap import dice


def random_labels(seed: int, highest: int = 6) -> torch.Tensor:
    return torch.randint(0, highest, (5, 6, 7), generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 10_000))
def test_is_the_textbook_formula_and_symmetric(seed):
    first, second = random_labels(seed), random_labels(seed + 1)
    found = dice(first, second)
    for label in range(1, 6):
        a, b = first == label, second == label
        assert abs(found[label] - 2 * int((a & b).sum()) / int(a.sum() + b.sum())) < 1e-12
    assert found == dice(second, first)


def test_a_map_agrees_with_itself():
    assert set(dice(random_labels(0), random_labels(0)).values()) == {1.0}


def test_labels_of_one_map_alone_score_zero_and_background_does_not_count():
    first, second = torch.zeros(3, 3, 3, dtype=torch.int16), torch.zeros(3, 3, 3, dtype=torch.int16)
    first[0] = 7
    second[1] = 44
    assert dice(first, second) == {7: 0.0, 44: 0.0}
    assert dice(torch.zeros_like(first), torch.zeros_like(first)) == {}
