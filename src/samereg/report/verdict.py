"""What the figures of a registration say about it, in words; knows no files and no images."""

from dataclasses import dataclass, field
from math import isnan
from typing import Literal

Level = Literal["green", "amber", "red"]

LEVELS: tuple[Level, ...] = ("green", "amber", "red")
"""From best to worst."""

HEADLINES: dict[Level, str] = {
    "green": "Nothing speaks against this registration.",
    "amber": "Look closely before you use this registration.",
    "red": "Do not trust this registration.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Figures that the verdict rests on; NaN where one could not be measured.

    Attributes:
        matches_kept: matches that the result rests on.
        kept_fraction: their share of the points looked for.
        overlap_fraction: part of the fixed body that lands in the moving body.
        inverse_consistency_mm: mean distance after there and back.
        folded_fraction: part of the body where the map turns inside out.
        jacobian_std: standard deviation over the body of the Jacobian determinant.
        similarity: median over the common body of the squared local correlation of both scans, 0 to 1.
        match_error_mm: median distance of kept matches from where the transform takes their points.
    """

    matches_kept: float
    kept_fraction: float
    overlap_fraction: float
    inverse_consistency_mm: float
    folded_fraction: float
    jacobian_std: float
    similarity: float
    match_error_mm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Where a figure stops being good; `red` lies on the bad side of `amber`, and says which side that is.

    Attributes:
        amber: from here on, this value excluded, the figure is doubtful.
        red: from here on, this value excluded, it is bad.
    """

    amber: float
    red: float

    def level(self, value: float) -> Level:
        """What a value means; NaN is red, because nothing is known."""
        sign = 1.0 if self.red > self.amber else -1.0
        if isnan(value) or sign * value > sign * self.red:
            return "red"
        return "amber" if sign * value > sign * self.amber else "green"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictLimits:
    """Bounds of every figure.

    Those of overlap, folding and inverse consistency are red where the command ends with exit code 10. The others
    were set on validation scans of different patients (docs/decisions/0005): green holds what `fast` and
    `default` reached there, red what only transforms 20 mm off reached.
    """

    matches_kept: Bound = field(default_factory=lambda: Bound(amber=300.0, red=60.0))
    kept_fraction: Bound = field(default_factory=lambda: Bound(amber=0.3, red=0.1))
    overlap_fraction: Bound = field(default_factory=lambda: Bound(amber=0.6, red=0.1))
    inverse_consistency_mm: Bound = field(default_factory=lambda: Bound(amber=0.5, red=1.0))
    folded_fraction: Bound = field(default_factory=lambda: Bound(amber=0.001, red=0.05))
    jacobian_std: Bound = field(default_factory=lambda: Bound(amber=0.6, red=1.2))
    similarity: Bound = field(default_factory=lambda: Bound(amber=0.2, red=0.06))
    match_error_mm: Bound = field(default_factory=lambda: Bound(amber=8.0, red=20.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one figure says.

    Attributes:
        name: of the figure, in words.
        value: as shown.
        bounds: as shown: from where on it is amber and red.
        level: what it means.
        meaning: a sentence that says what the figure is and why it matters.
    """

    name: str
    value: str
    bounds: str
    level: Level
    meaning: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The worst of all findings, and the findings.

    Attributes:
        level: of the worst finding.
        headline: what to do, in one sentence.
        findings: one for each figure.
    """

    level: Level
    headline: str
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Findings that are not green, the worst first."""
        bad = [finding for finding in self.findings if finding.level != "green"]
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
        key="matches_kept",
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


def judge(measured: Measured, limits: VerdictLimits) -> Verdict:
    """The verdict on a registration: as bad as its worst figure."""
    findings = tuple(_finding(figure, measured, limits) for figure in _FIGURES)
    level = max((finding.level for finding in findings), key=LEVELS.index)
    return Verdict(level=level, headline=HEADLINES[level], findings=findings)


def _finding(figure: _Figure, measured: Measured, limits: VerdictLimits) -> Finding:
    value: float = getattr(measured, figure.key)
    bound: Bound = getattr(limits, figure.key)
    side = "above" if bound.red > bound.amber else "below"
    return Finding(
        name=figure.name,
        value=figure.shown(value),
        bounds=f"amber {side} {figure.shown(bound.amber)}, red {side} {figure.shown(bound.red)}",
        level=bound.level(value),
        meaning=figure.meaning,
    )
