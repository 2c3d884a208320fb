"""Every bound of the verdict at each of its sides."""

from dataclasses import fields, replace

import pytest

from samereg.app.verdict import HEADLINES, Bound, VerdictLimits, judge
from samereg.pipeline.quality import Quality

GOOD = Quality(
    match_count=3000,
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


def level(key: str, value: float) -> str:
    return judge(changed(key, value), LIMITS).level


def changed(key: str, value: float) -> Quality:
    return replace(GOOD, **{key: int(value) if key == "match_count" else value})


def step(key: str) -> float:
    """The least change for the worse."""
    bound: Bound = getattr(LIMITS, key)
    return (1.0 if key == "match_count" else 1e-6) * (1.0 if bound.failed > bound.doubtful else -1.0)


def test_every_figure_has_a_bound_and_a_finding() -> None:
    assert sorted(each.name for each in fields(Quality)) == sorted(KEYS)
    assert len(judge(GOOD, LIMITS).findings) == len(KEYS)


def test_a_good_result_is_good_without_reasons() -> None:
    verdict = judge(GOOD, LIMITS)
    assert (verdict.level, verdict.reasons) == ("good", ())
    assert verdict.headline == HEADLINES["good"]


@pytest.mark.parametrize("key", KEYS)
def test_each_bound_parts_good_from_doubtful_from_failed(key: str) -> None:
    bound: Bound = getattr(LIMITS, key)
    assert level(key, bound.doubtful) == "good"
    assert level(key, bound.doubtful + step(key)) == "doubtful"
    assert level(key, bound.failed) == "doubtful"
    assert level(key, bound.failed + step(key)) == "failed"


@pytest.mark.parametrize("key", [key for key in KEYS if key != "match_count"])
def test_what_could_not_be_measured_has_failed(key: str) -> None:
    verdict = judge(replace(GOOD, **{key: float("nan")}), LIMITS)
    assert verdict.level == "failed"
    assert [finding.value for finding in verdict.reasons] == ["not measured"]


def test_the_worst_figure_decides_and_comes_first() -> None:
    verdict = judge(replace(GOOD, overlap_fraction=0.5, match_error_mm=90.0), LIMITS)
    assert verdict.level == "failed"
    assert [(finding.name, finding.level) for finding in verdict.reasons] == [
        ("Match error", "failed"),
        ("Overlap", "doubtful"),
    ]


def test_a_finding_shows_its_value_and_bounds_in_its_unit() -> None:
    finding = next(
        each for each in judge(replace(GOOD, overlap_fraction=0.5), LIMITS).findings if each.name == "Overlap"
    )
    assert (finding.value, finding.bounds) == ("50 %", "doubtful below 60 %, failed below 10 %")


@pytest.mark.parametrize("key", KEYS)
def test_a_command_ends_with_10_exactly_where_the_verdict_is_failed(key: str) -> None:
    bound: Bound = getattr(LIMITS, key)
    values = (bound.failed, bound.failed + step(key))
    passed, failed = (judge(changed(key, value), LIMITS) for value in values)
    assert (passed.level, passed.exit_status, passed.faults) == ("doubtful", 0, ())
    assert (failed.level, failed.exit_status, len(failed.faults)) == ("failed", 10, 1)


def test_a_fault_names_figure_value_and_bound() -> None:
    verdict = judge(replace(GOOD, overlap_fraction=0.05, similarity=float("nan")), LIMITS)
    assert verdict.faults == ("local similarity: not measured", "overlap: 5 %, below 10 %")


def test_a_note_on_the_scans_makes_a_good_result_doubtful_and_no_other_better() -> None:
    assert judge(GOOD, LIMITS, ("a note",)).level == "doubtful"
    assert judge(GOOD, LIMITS, ("a note",)).exit_status == 0
    assert judge(replace(GOOD, overlap_fraction=0.0), LIMITS, ("a note",)).level == "failed"
