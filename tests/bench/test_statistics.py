import math

import pytest
from scipy import stats

from samereg.bench.statistics import bootstrap_interval, compare, holm

OURS = {str(n): 0.80 + 0.01 * n for n in range(8)}
WORSE = {pair: score - 0.05 - 0.001 * int(pair) for pair, score in OURS.items()}


def test_equals_scipys_paired_tests():
    found = compare(OURS, {"worse": WORSE})["worse"]
    ours, theirs = list(OURS.values()), list(WORSE.values())
    assert found.t_p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, rel=1e-6)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)
    assert (found.wins, found.ties, found.losses, found.pairs) == (8, 0, 0, 8)
    assert found.low < found.difference < found.high


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_never_falls():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9}) == {"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.9}
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_more_methods_raise_the_p_of_each():
    alone = compare(OURS, {"worse": WORSE})["worse"].t_p
    together = compare(OURS, {"worse": WORSE, "other": WORSE})["worse"].t_p
    assert together == pytest.approx(2 * alone)


def test_nothing_is_claimed_from_four_pairs():
    few = {pair: OURS[pair] for pair in "0123"}
    found = compare(few, {"worse": WORSE})["worse"]
    assert (found.t_p, found.wilcoxon_p, found.low, found.high) == (None, None, None, None)
    assert found.difference > 0


def test_a_failure_is_a_loss_of_the_method_that_failed():
    found = compare(OURS, {"worse": {**WORSE, "0": None}})["worse"]
    assert (found.pairs, found.failed, found.wins) == (7, 1, 8)


def test_equal_scores_tie_and_have_no_p():
    found = compare(OURS, {"same": dict(OURS)})["same"]
    assert (found.ties, found.t_p) == (8, None)
    assert compare(OURS, {"absent": {}})["absent"].pairs == 0
    assert math.isnan(compare(OURS, {"absent": {}})["absent"].difference)


def test_the_interval_is_the_same_every_time():
    values = [0.1, 0.3, -0.2, 0.5, 0.2]
    assert bootstrap_interval(values) == bootstrap_interval(values)
