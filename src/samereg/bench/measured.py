"""Measures of a comparison: where each value is found among the scores, in the order of columns."""

from functools import partial

from samereg.bench.scores import Scores
from samereg.bench.summary import Value
from samereg.metrics.measures import MEASURES, Measure

_VALUES: tuple[tuple[str, Value], ...] = (
    ("dice", lambda s: s.dice),
    ("asd_mm", lambda s: s.asd_mm),
    ("hd95_mm", lambda s: s.hd95_mm),
    ("tre_mm", lambda s: s.landmarks.mean_mm if s.landmarks else None),
    ("lesion_volume", lambda s: s.lesion_volume),
    ("tre_median_mm", lambda s: s.landmarks.median_mm if s.landmarks else None),
    ("tre_p95_mm", lambda s: s.landmarks.p95_mm if s.landmarks else None),
    ("jacobian_std", lambda s: s.field.jacobian_std),
    ("log_jacobian_std", lambda s: s.field.log_jacobian_std),
    ("folded_fraction", lambda s: s.field.folded_fraction),
    ("folded_volume_fraction", lambda s: s.field.folded_share),
    ("inverse_consistency_mm", lambda s: s.field.inverse_mm),
)


def _displayed(scores: Scores, *, value: Value, scale: float) -> float | None:
    found = value(scores)
    return None if found is None else scale * found


MEASURED: tuple[tuple[Measure, Value], ...] = tuple(
    (MEASURES[key], partial(_displayed, value=value, scale=MEASURES[key].scale)) for key, value in _VALUES
)
"""Measures of every registration and their displayed values."""
