"""Verdict on a registration by its quality measures and their bounds."""

from dataclasses import dataclass, field
from math import isnan
from typing import Literal

from samereg.errors import QualityError
from samereg.metrics.measures import MEASURES, Measure
from samereg.pipeline.quality import Quality

Level = Literal["good", "doubtful", "failed"]

LEVELS: tuple[Level, ...] = ("good", "doubtful", "failed")
"""From best to worst."""

HEADLINES: dict[Level, str] = {
    "good": "No problems found.",
    "doubtful": "Check this registration before using it.",
    "failed": "Do not use this registration.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Bounds of a measure; whether `failed` is above or below `doubtful` determines the direction.

    Attributes:
        doubtful: values beyond this (exclusive) are doubtful.
        failed: values beyond this (exclusive) mean failure.
    """

    doubtful: float
    failed: float

    def level(self, value: float) -> Level:
        """Level of a value; NaN counts as failed."""
        sign = 1.0 if self.failed > self.doubtful else -1.0
        if isnan(value) or sign * value > sign * self.failed:
            return "failed"
        return "doubtful" if sign * value > sign * self.doubtful else "good"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictLimits:
    """Bounds of all quality measures.

    The command ends with exit code 10 if one of them is `failed`. They were set on scans of different patients
    (docs/decisions/0005 and 0010): good covers results of `fast` and `default` there, failed those that only wrong
    transforms had.
    """

    match_count: Bound = field(default_factory=lambda: Bound(doubtful=300.0, failed=60.0))
    kept_fraction: Bound = field(default_factory=lambda: Bound(doubtful=0.3, failed=0.1))
    overlap_fraction: Bound = field(default_factory=lambda: Bound(doubtful=0.6, failed=0.1))
    inverse_consistency_mm: Bound = field(default_factory=lambda: Bound(doubtful=0.5, failed=1.0))
    folded_fraction: Bound = field(default_factory=lambda: Bound(doubtful=0.001, failed=0.05))
    jacobian_std: Bound = field(default_factory=lambda: Bound(doubtful=0.6, failed=2.0))
    similarity: Bound = field(default_factory=lambda: Bound(doubtful=0.2, failed=0.04))
    match_error_mm: Bound = field(default_factory=lambda: Bound(doubtful=8.0, failed=30.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Verdict on one measure.

    Attributes:
        name: of the measure.
        value: formatted value.
        bounds: formatted bounds.
        level: of the value.
        meaning: a sentence that explains the measure.
        fault: the problem, without a full stop; empty unless it failed.
    """

    name: str
    value: str
    bounds: str
    level: Level
    meaning: str
    fault: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Verdict on a registration.

    Attributes:
        level: of the worst finding; no better than doubtful where there are notes.
        headline: advice in one sentence.
        findings: one per measure.
        notes: sentences on the scans, without a full stop, that make any result doubtful.
    """

    level: Level
    headline: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each failed measure; empty unless the level is failed."""
        return tuple(finding.fault for finding in self.findings if finding.level == "failed")

    @property
    def exit_status(self) -> int:
        """Exit code of a command with this result: that of `QualityError` if it failed, otherwise 0."""
        return QualityError.exit_code if self.level == "failed" else 0

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Findings that are not good, the worst first."""
        bad = [finding for finding in self.findings if finding.level != "good"]
        return tuple(sorted(bad, key=lambda finding: -LEVELS.index(finding.level)))


JUDGED = (
    "match_count",
    "kept_fraction",
    "match_error_mm",
    "similarity",
    "overlap_fraction",
    "inverse_consistency_mm",
    "folded_fraction",
    "jacobian_std",
)
"""Keys of the measures with bounds, in the order of findings."""


def judge(quality: Quality, limits: VerdictLimits, notes: tuple[str, ...] = ()) -> Verdict:
    """The verdict on a registration: its worst measure, and at best doubtful if there are notes.

    Args:
        quality: its measures.
        limits: bounds of the measures.
        notes: on its scans.
    """
    findings = tuple(_finding(MEASURES[key], quality, limits) for key in JUDGED)
    at_best: Level = "doubtful" if notes else "good"
    level = max((at_best, *(finding.level for finding in findings)), key=LEVELS.index)
    return Verdict(level=level, headline=HEADLINES[level], findings=findings, notes=notes)


def _finding(measure: Measure, quality: Quality, limits: VerdictLimits) -> Finding:
    value = float(getattr(quality, measure.key))
    bound: Bound = getattr(limits, measure.key)
    level = bound.level(value)
    side = "above" if bound.failed > bound.doubtful else "below"
    worst = f"{measure.shown(value)}, {side} {measure.shown(bound.failed)}"
    return Finding(
        name=measure.name,
        value=measure.shown(value),
        bounds=f"doubtful {side} {measure.shown(bound.doubtful)}, failed {side} {measure.shown(bound.failed)}",
        level=level,
        meaning=measure.meaning,
        fault=f"{measure.name.lower()}: {measure.shown(value) if isnan(value) else worst}" if level == "failed" else "",
    )
