"""Paired statistical comparison of methods, with tests of scipy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

MIN_PAIRS = 5
"""Minimum number of pairs for a test."""

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 0

TIE = 0.001
"""Maximum difference in mean Dice (0 to 1) of a tie: 0.1 %."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Comparison of a method with ours on the same pairs; differences are ours minus the other.

    Attributes:
        pairs: number of pairs with both scores.
        failed: pairs on which the method failed; counted as wins of ours.
        own_failed: pairs on which only ours failed; counted as losses of ours.
        difference: mean difference.
        low: lower end of the bootstrap confidence interval of the mean; None for too few pairs.
        high: upper end.
        t_p: p-value of the paired t-test, with Holm's correction over all methods; None for too few pairs.
        wilcoxon_p: p-value of Wilcoxon's signed-rank test, corrected likewise.
        wins: pairs on which ours is better.
        ties: pairs on which the difference is below `TIE`.
        losses: pairs on which ours is worse.
    """

    pairs: int
    failed: int
    own_failed: int
    difference: float
    low: float | None
    high: float | None
    t_p: float | None
    wilcoxon_p: float | None
    wins: int
    ties: int
    losses: int


Scored = Mapping[str, float | None]
"""Score of each pair, 0 to 1; None if a method failed."""


def compare(ours: Scored, others: Mapping[str, Scored]) -> dict[str, Comparison]:
    """Compares each method with ours on the common pairs.

    Pairs of few subjects share scans, so the tests' assumption of independence holds at best approximately: the
    p-values reproduce the paper's statistic and are not proof.

    Args:
        ours: score of each pair.
        others: the same of each method.
    """
    found = {name: _compare(ours, scored) for name, scored in others.items()}
    t_p = holm({name: each.t_p for name, each in found.items() if each.t_p is not None})
    wilcoxon_p = holm({name: each.wilcoxon_p for name, each in found.items() if each.wilcoxon_p is not None})
    return {name: replace(each, t_p=t_p.get(name), wilcoxon_p=wilcoxon_p.get(name)) for name, each in found.items()}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values with Holm's step-down correction for multiple tests.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        corrected[name] = largest
    return corrected


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """Percentile confidence interval of the mean."""
    found = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _compare(ours: Scored, other: Scored) -> Comparison:
    common = [(score, other[pair]) for pair, score in ours.items() if pair in other]
    failed = sum(score is not None and theirs is None for score, theirs in common)
    own_failed = sum(score is None and theirs is not None for score, theirs in common)
    differences = [score - theirs for score, theirs in common if score is not None and theirs is not None]
    enough = len(differences) >= MIN_PAIRS
    varied = enough and np.ptp(differences) > 0.0
    low, high = bootstrap_interval(differences) if varied else (None, None)
    return Comparison(
        pairs=len(differences),
        failed=failed,
        own_failed=own_failed,
        difference=float(np.mean(differences)) if differences else float("nan"),
        low=low,
        high=high,
        t_p=float(stats.ttest_1samp(differences, 0.0).pvalue) if varied else None,
        wilcoxon_p=float(stats.wilcoxon(differences).pvalue) if varied else None,
        wins=failed + sum(each > TIE for each in differences),
        ties=sum(abs(each) <= TIE for each in differences),
        losses=own_failed + sum(each < -TIE for each in differences),
    )
