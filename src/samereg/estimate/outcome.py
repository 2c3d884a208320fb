"""How an estimate ended: a value with a sentence, not an exception."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """End of a computation that could have gone on.

    Attributes:
        converged: whether it stopped because it was done.
        message: one sentence for logs and records.
        iterations: steps taken.
    """

    converged: bool
    message: str
    iterations: int
