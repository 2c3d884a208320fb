"""Outcome of an iterative estimate, as a value instead of an exception."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Outcome of an iterative computation.

    Attributes:
        converged: whether it met its stopping criterion.
        message: one sentence for logs and records.
        iterations: steps taken.
    """

    converged: bool
    message: str
    iterations: int
