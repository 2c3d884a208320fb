"""Target registration error of landmarks."""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from samereg.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetError:
    """Target registration error (TRE) of a set of landmarks, mm.

    Attributes:
        count: number of landmarks.
        mean_mm: mean.
        median_mm: median.
        p25_mm: 25th percentile.
        p75_mm: 75th percentile.
        p95_mm: 95th percentile.
        max_mm: maximum.
    """

    count: int
    mean_mm: float
    median_mm: float
    p25_mm: float
    p75_mm: float
    p95_mm: float
    max_mm: float


def target_error(landed_mm: Float64[Tensor, "n 3"], target_mm: Float64[Tensor, "n 3"]) -> TargetError:
    """Computes the target registration error of landmarks.

    Args:
        landed_mm: transformed fixed landmarks, in the moving world.
        target_mm: corresponding landmarks of the moving scan, same order.

    Raises:
        InputError: no landmarks.
    """
    if len(landed_mm) == 0:
        raise InputError("a target registration error needs at least one landmark, got none")
    error = (landed_mm - target_mm).norm(dim=-1)
    quarter, median, three_quarters, most = (float(error.quantile(q)) for q in (0.25, 0.5, 0.75, 0.95))
    return TargetError(
        count=len(error),
        mean_mm=float(error.mean()),
        median_mm=median,
        p25_mm=quarter,
        p75_mm=three_quarters,
        p95_mm=most,
        max_mm=float(error.max()),
    )
