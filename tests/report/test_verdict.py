"""Every bound of the verdict at each of its sides."""

from dataclasses import fields, replace

import pytest

from samereg.app.quality import QualityLimits
from samereg.report.verdict import HEADLINES, Bound, Measured, VerdictLimits, judge

GOOD = Measured(
    matches_kept=3000.0,
    kept_fraction=0.7,
    overlap_fraction=0.95,
    inverse_consistency_mm=0.2,
    folded_fraction=0.0,
    jacobian_std=0.3,
    similarity=0.4,
    match_error_mm=5.0,
)
LIMITS = VerdictLimits()
KEYS = [each.name for each in fields(VerdictLimits)]


def level(**changed: float) -> str:
    return judge(replace(GOOD, **changed), LIMITS).level


def test_every_figure_has_a_bound_and_a_finding() -> None:
    assert [each.name for each in fields(Measured)] == KEYS
    assert len(judge(GOOD, LIMITS).findings) == len(KEYS)


def test_a_good_result_is_green_without_reasons() -> None:
    verdict = judge(GOOD, LIMITS)
    assert (verdict.level, verdict.reasons) == ("green", ())
    assert verdict.headline == HEADLINES["green"]


@pytest.mark.parametrize("key", KEYS)
def test_each_bound_parts_green_from_amber_from_red(key: str) -> None:
    bound: Bound = getattr(LIMITS, key)
    worse = 1.0 if bound.red > bound.amber else -1.0
    step = 1e-6 * worse
    assert level(**{key: bound.amber}) == "green"
    assert level(**{key: bound.amber + step}) == "amber"
    assert level(**{key: bound.red}) == "amber"
    assert level(**{key: bound.red + step}) == "red"


@pytest.mark.parametrize("key", KEYS)
def test_what_could_not_be_measured_is_red(key: str) -> None:
    verdict = judge(replace(GOOD, **{key: float("nan")}), LIMITS)
    assert verdict.level == "red"
    assert [finding.value for finding in verdict.reasons] == ["not measured"]


def test_the_worst_figure_decides_and_comes_first() -> None:
    verdict = judge(replace(GOOD, overlap_fraction=0.5, match_error_mm=90.0), LIMITS)
    assert verdict.level == "red"
    assert [(finding.name, finding.level) for finding in verdict.reasons] == [
        ("Matches off the transform", "red"),
        ("Overlap", "amber"),
    ]


def test_a_finding_shows_its_value_and_bounds_in_its_unit() -> None:
    finding = next(
        each for each in judge(replace(GOOD, overlap_fraction=0.5), LIMITS).findings if each.name == "Overlap"
    )
    assert (finding.value, finding.bounds) == ("50 %", "amber below 60 %, red below 10 %")


def test_red_is_where_the_command_fails_its_own_check() -> None:
    limits = QualityLimits()
    for key in ("overlap_fraction", "inverse_consistency_mm", "folded_fraction"):
        assert getattr(LIMITS, key).red == getattr(limits, key)
