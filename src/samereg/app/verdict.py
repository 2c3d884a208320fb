"""What the figures of a registration say about it, in words: the one place that holds the bounds."""

from dataclasses import dataclass, field
from math import isnan
from typing import Literal

from samereg.errors import QualityError
from samereg.pipeline.quality import Quality

Level = Literal["good", "doubtful", "failed"]

LEVELS: tuple[Level, ...] = ("good", "doubtful", "failed")
"""From best to worst."""

HEADLINES: dict[Level, str] = {
    "good": "Nothing speaks against this registration.",
    "doubtful": "Look closely before you use this registration.",
    "failed": "Do not trust this registration.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Where a figure stops being good; `failed` lies on the bad side of `doubtful`, and says which side that is.

    Attributes:
        doubtful: from here on, this value excluded, the figure is doubtful.
        failed: from here on, this value excluded, the registration has failed.
    """

    doubtful: float
    failed: float

    def level(self, value: float) -> Level:
        """What a value means; NaN has failed, because nothing is known."""
        sign = 1.0 if self.failed > self.doubtful else -1.0
        if isnan(value) or sign * value > sign * self.failed:
            return "failed"
        return "doubtful" if sign * value > sign * self.doubtful else "good"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictLimits:
    """Bounds of every figure.

    The command ends with exit code 10 where one of them is `failed`. They were set on scans of different patients
    (docs/decisions/0005 and 0010): good holds what `fast` and `default` reached there, failed what only wrong
    transforms reached.
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
    """What one figure says.

    Attributes:
        name: of the figure, in words.
        value: as shown.
        bounds: as shown: from where on it is doubtful and failed.
        level: what it means.
        meaning: a sentence that says what the figure is and why it matters.
        fault: what is wrong, without a full stop; empty unless it failed.
    """

    name: str
    value: str
    bounds: str
    level: Level
    meaning: str
    fault: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The worst of all findings, and the findings.

    Attributes:
        level: of the worst finding; no better than doubtful where there are notes.
        headline: what to do, in one sentence.
        findings: one for each figure.
        notes: sentences on the scans that make a result doubtful whatever its figures, without a full stop.
    """

    level: Level
    headline: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each figure that failed; nothing unless the level is failed."""
        return tuple(finding.fault for finding in self.findings if finding.level == "failed")

    @property
    def exit_status(self) -> int:
        """Exit code of a command with this result: that of `QualityError` exactly where it failed."""
        return QualityError.exit_code if self.level == "failed" else 0

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Findings that are not good, the worst first."""
        bad = [finding for finding in self.findings if finding.level != "good"]
        return tuple(sorted(bad, key=lambda finding: -LEVELS.index(finding.level)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Figure:
    """How a figure is shown: `scale` times the value, with `digits`, and a unit."""

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
        meaning="Points of the fixed scan that were found in the moving scan and passed the filter; the result rests "
        "on them.",
    ),
    _Figure(
        key="kept_fraction",
        name="Share of matches kept",
        meaning="Where most points are not found, the scans may not show the same part of the body.",
        scale=100.0,
        unit=" %",
    ),
    _Figure(
        key="match_error_mm",
        name="Matches off the transform",
        meaning="Median distance between where a kept match was found and where the transform takes its point.",
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
        meaning="Part of the fixed body that lands in the moving body; nothing is known of the rest.",
        scale=100.0,
        unit=" %",
    ),
    _Figure(
        key="inverse_consistency_mm",
        name="Inverse consistency",
        meaning="Mean distance of body points from where they began, after the transform and its inverse.",
        digits=2,
        unit=" mm",
    ),
    _Figure(
        key="folded_fraction",
        name="Folded space",
        meaning="Part of the body where the transform turns space inside out, which no anatomy does.",
        scale=100.0,
        digits=3,
        unit=" %",
    ),
    _Figure(
        key="jacobian_std",
        name="Unevenness",
        meaning="Standard deviation of the local change of volume; a rough field moves neighbours apart.",
        digits=2,
    ),
)


def judge(quality: Quality, limits: VerdictLimits, notes: tuple[str, ...] = ()) -> Verdict:
    """The verdict on a registration: as bad as its worst figure, and doubtful at best where something was noted.

    Args:
        quality: its figures.
        limits: bounds of each.
        notes: what was noted of its scans.
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
