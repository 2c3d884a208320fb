"""Verdict on a registration by its quality measures and their bounds."""

from dataclasses import dataclass, field
from math import isnan
from typing import Literal

from samereg.errors import QualityError
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Figure:
    """Name, meaning and format of a measure: `scale` times the value, with `digits`, and a unit."""

    key: str
    name: str
    meaning: str
    scale: float = 1.0
    digits: int = 0
    unit: str = ""

    def shown(self, value: float) -> str:
        if isnan(value):
            return "not measured"
        return f"{self.scale * value:.{self.digits}f}{self.unit}"


_FIGURES = (
    _Figure(
        key="match_count",
        name="Matches kept",
        meaning="Points of the fixed scan with a match in the moving scan that passed the filter; the result is based "
        "on them.",
    ),
    _Figure(
        key="kept_fraction",
        name="Fraction of matches kept",
        meaning="If most points have no match, the scans may not show the same part of the body.",
        scale=100.0,
        unit=" %",
    ),
    _Figure(
        key="match_error_mm",
        name="Match error",
        meaning="Median distance between a kept match and the transformed point.",
        digits=1,
        unit=" mm",
    ),
    _Figure(
        key="similarity",
        name="Local similarity",
        meaning="Median, over the body, of the squared correlation of both scans in windows of 20 mm; 1 is identical.",
        digits=2,
    ),
    _Figure(
        key="overlap_fraction",
        name="Overlap",
        meaning="Fraction of the fixed body that is mapped into the moving body; the rest cannot be checked.",
        scale=100.0,
        unit=" %",
    ),
    _Figure(
        key="inverse_consistency_mm",
        name="Inverse consistency",
        meaning="Mean distance of body points from their original positions after the transform and its inverse.",
        digits=2,
        unit=" mm",
    ),
    _Figure(
        key="folded_fraction",
        name="Folding",
        meaning="Fraction of the body with a non-positive Jacobian determinant, which is anatomically impossible.",
        scale=100.0,
        digits=3,
        unit=" %",
    ),
    _Figure(
        key="jacobian_std",
        name="Jacobian standard deviation",
        meaning="Standard deviation of the Jacobian determinant; larger values mean a less smooth deformation.",
        digits=2,
    ),
)


def judge(quality: Quality, limits: VerdictLimits, notes: tuple[str, ...] = ()) -> Verdict:
    """The verdict on a registration: its worst measure, and at best doubtful if there are notes.

    Args:
        quality: its measures.
        limits: bounds of the measures.
        notes: on its scans.
    """
    findings = tuple(_finding(figure, quality, limits) for figure in _FIGURES)
    at_best: Level = "doubtful" if notes else "good"
    level = max((at_best, *(finding.level for finding in findings)), key=LEVELS.index)
    return Verdict(level=level, headline=HEADLINES[level], findings=findings, notes=notes)


def _finding(figure: _Figure, quality: Quality, limits: VerdictLimits) -> Finding:
    value = float(getattr(quality, figure.key))
    bound: Bound = getattr(limits, figure.key)
    level = bound.level(value)
    side = "above" if bound.failed > bound.doubtful else "below"
    worst = f"{figure.shown(value)}, {side} {figure.shown(bound.failed)}"
    return Finding(
        name=figure.name,
        value=figure.shown(value),
        bounds=f"doubtful {side} {figure.shown(bound.doubtful)}, failed {side} {figure.shown(bound.failed)}",
        level=level,
        meaning=figure.meaning,
        fault=f"{figure.name.lower()}: {figure.shown(value) if isnan(value) else worst}" if level == "failed" else "",
    )
