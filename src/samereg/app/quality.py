"""When a finished registration is not to be trusted."""

from dataclasses import dataclass

from samereg.pipeline.register import Quality


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityLimits:
    """Bounds that a result has to keep, or the command ends with exit code 10.

    Generous on purpose: results inside them can still be poor, results outside are wrong.

    Attributes:
        inverse_consistency_mm: largest mean distance after there and back.
        folded_fraction: largest part of the body's voxels with a Jacobian determinant of zero or less.
        overlap_fraction: smallest part of the fixed body that the moved scan covers.
    """

    inverse_consistency_mm: float = 1.0
    folded_fraction: float = 0.05
    overlap_fraction: float = 0.1


def quality_faults(quality: Quality, limits: QualityLimits) -> tuple[str, ...]:
    """One sentence for each bound that a result breaks; nothing for a good one."""
    checks = (
        (
            quality.inverse_consistency_mm <= limits.inverse_consistency_mm,
            f"the transform and its inverse differ by {quality.inverse_consistency_mm:.2f} mm on average, "
            f"more than {limits.inverse_consistency_mm:g} mm",
        ),
        (
            quality.folded_fraction <= limits.folded_fraction,
            f"the transform folds {100 * quality.folded_fraction:.2f} % of the body, "
            f"more than {100 * limits.folded_fraction:g} %",
        ),
        (
            quality.overlap_fraction >= limits.overlap_fraction,
            f"the scans overlap in {100 * quality.overlap_fraction:.0f} % of the fixed body, "
            f"less than {100 * limits.overlap_fraction:g} %",
        ),
    )
    return tuple(sentence for kept, sentence in checks if not kept)
