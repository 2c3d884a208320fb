import torch

from samereg.matching.filters import StableFilter, ThresholdFilter
from samereg.matching.matches import Matches


def matches(similarity: list[float], cycle_mm: list[float]) -> Matches:
    count = len(similarity)
    return Matches(
        fixed_mm=torch.zeros(count, 3, dtype=torch.float64),
        moving_mm=torch.zeros(count, 3, dtype=torch.float64),
        similarity=torch.tensor(similarity),
        cycle_mm=torch.tensor(cycle_mm),
        used=torch.ones(count, dtype=torch.bool),
    )


def test_threshold_keeps_similar_matches_whatever_their_cycle():
    kept = ThresholdFilter(theta=0.7).keep(matches([0.69, 0.71], [0.0, 99.0]))
    assert kept.used.tolist() == [False, True]


def test_stable_drops_long_cycles_and_dissimilar_matches():
    kept = StableFilter(cycle_mm=10.0, theta=0.3).keep(matches([0.9, 0.9, 0.1], [2.0, 11.0, 2.0]))
    assert kept.used.tolist() == [True, False, False]


def test_stable_trusts_shorter_cycles_more():
    trusted = StableFilter(cycle_mm=10.0, theta=0.0)
    weights = trusted.weights(trusted.keep(matches([0.8, 0.8, 0.8], [0.0, 5.0, 20.0])))
    assert weights[0] > weights[1] > weights[2] == 0
