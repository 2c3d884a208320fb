"""How far landmarks end from where they should."""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from samereg.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetError:
    """Target registration error (TRE) of a set of landmarks, mm.

    Attributes:
        count: landmarks.
        mean_mm: mean.
        median_mm: half of them end closer.
        quarter_mm: a quarter of them ends closer.
        three_quarters_mm: three quarters of them end closer.
        most_mm: 95 of 100 end closer.
        largest_mm: the farthest.
    """

    count: int
    mean_mm: float
    median_mm: float
    quarter_mm: float
    three_quarters_mm: float
    most_mm: float
    largest_mm: float


def target_error(landed_mm: Float64[Tensor, "n 3"], target_mm: Float64[Tensor, "n 3"]) -> TargetError:
    """Error of landmarks carried by a registration.

    Args:
        landed_mm: where the transform puts the fixed landmarks in the moving world.
        target_mm: where they are in the moving scan, same order.

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
        quarter_mm=quarter,
        three_quarters_mm=three_quarters,
        most_mm=most,
        largest_mm=float(error.max()),
    )
