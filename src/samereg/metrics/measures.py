"""Registry of measures: name, unit, number of digits and meaning of every quantity that is reported."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A reported quantity.

    Attributes:
        key: its name in records.
        name: for users.
        meaning: a sentence that explains it.
        column: short title in tables, without the unit.
        scale: factor from the recorded to the displayed value, such as 100 for fractions.
        digits: displayed decimals.
        unit: of the displayed value; empty for pure numbers.
    """

    key: str
    name: str
    meaning: str
    column: str
    scale: float = 1.0
    digits: int = 0
    unit: str = ""

    def shown(self, value: float) -> str:
        """The value with its unit."""
        if isnan(value):
            return "not measured"
        return f"{self.scale * value:.{self.digits}f}" + (f" {self.unit}" if self.unit else "")

    @property
    def heading(self) -> str:
        """Column heading: the title with the unit."""
        return f"{self.column} ({self.unit})" if self.unit else self.column


_ALL = (
    Measure(
        key="match_count",
        name="Matches kept",
        column="matches",
        meaning="Points of the fixed scan with a match in the moving scan that passed the filter; the result is based "
        "on them.",
    ),
    Measure(
        key="kept_fraction",
        name="Fraction of matches kept",
        column="kept",
        meaning="If most points have no match, the scans may not show the same part of the body.",
        scale=100.0,
        unit="%",
    ),
    Measure(
        key="match_error_mm",
        name="Match error",
        column="match error",
        meaning="Median distance between a kept match and the transformed point.",
        digits=1,
        unit="mm",
    ),
    Measure(
        key="similarity",
        name="Local similarity",
        column="similarity",
        meaning="Median, over the body, of the squared correlation of both scans in windows of 20 mm; 1 is identical.",
        digits=2,
    ),
    Measure(
        key="overlap_fraction",
        name="Overlap",
        column="overlap",
        meaning="Fraction of the fixed body that is mapped into the moving body; the rest cannot be checked.",
        scale=100.0,
        unit="%",
    ),
    Measure(
        key="inverse_consistency_mm",
        name="Inverse consistency",
        column="inverse",
        meaning="Mean distance of body points from their original positions after the transform and its inverse.",
        digits=3,
        unit="mm",
    ),
    Measure(
        key="folded_fraction",
        name="Folding",
        column="folded",
        meaning="Fraction of the body with a non-positive Jacobian determinant, which is anatomically impossible.",
        scale=100.0,
        digits=3,
        unit="%",
    ),
    Measure(
        key="folded_volume_fraction",
        name="Folded volume",
        column="folded volume",
        meaning="Non-diffeomorphic volume, including folds between voxels, as a fraction of the volume of the body.",
        scale=100.0,
        digits=3,
        unit="%",
    ),
    Measure(
        key="jacobian_std",
        name="Jacobian standard deviation",
        column="std of |J|",
        meaning="Standard deviation of the Jacobian determinant; larger values mean a less smooth deformation.",
        digits=3,
    ),
    Measure(
        key="log_jacobian_std",
        name="Log-Jacobian standard deviation",
        column="SD log J",
        meaning="Standard deviation of the logarithm of the Jacobian determinant.",
        digits=3,
    ),
    Measure(
        key="dice",
        name="Dice",
        column="Dice",
        meaning="Mean overlap of the structures of both scans; 100 % is identical.",
        scale=100.0,
        digits=2,
        unit="%",
    ),
    Measure(
        key="asd_mm",
        name="Average surface distance",
        column="ASD",
        meaning="Mean symmetric distance between the surfaces of the structures.",
        digits=2,
        unit="mm",
    ),
    Measure(
        key="hd95_mm",
        name="Hausdorff distance",
        column="HD95",
        meaning="95th percentile of the distance between the surfaces of the structures.",
        digits=2,
        unit="mm",
    ),
    Measure(
        key="tre_mm",
        name="Target registration error",
        column="TRE",
        meaning="Mean distance between corresponding landmarks after registration.",
        digits=2,
        unit="mm",
    ),
    Measure(
        key="lesion_volume",
        name="Change of lesion volume",
        column="lesion volume",
        meaning="Mean change of the volume of each lesion by the transform, larger or smaller.",
        scale=100.0,
        digits=2,
        unit="%",
    ),
    Measure(
        key="tre_median_mm",
        name="Median target registration error",
        column="TRE median",
        meaning="Median distance between corresponding landmarks after registration.",
        digits=2,
        unit="mm",
    ),
    Measure(
        key="tre_p95_mm",
        name="95th percentile of the target registration error",
        column="TRE 95 %",
        meaning="95th percentile of the distance between corresponding landmarks after registration.",
        digits=2,
        unit="mm",
    ),
)

MEASURES: Mapping[str, Measure] = MappingProxyType({each.key: each for each in _ALL})
"""All measures by key."""
