"""Table of `samereg evaluate`."""

from collections.abc import Callable, Sequence

from samereg.bench.evaluate import Evaluated
from samereg.bench.measured import MEASURED
from samereg.bench.scores import mean_of

Column = tuple[str, Callable[[Evaluated], float | None], int]

COLUMNS: tuple[Column, ...] = tuple(
    (measure.heading, lambda e, value=value: value(e.scores), measure.digits)  # type: ignore[misc]
    for measure, value in MEASURED
    if measure.key not in ("tre_median_mm", "tre_p95_mm")
)

CHALLENGE_COLUMNS: tuple[Column, ...] = (
    ("L2R Dice (%)", lambda e: 100 * e.challenge.dice if e.challenge and e.challenge.dice is not None else None, 2),
    ("L2R HD95 (vox)", lambda e: e.challenge.hd95_vox if e.challenge else None, 2),
    ("L2R SD log J", lambda e: e.challenge.log_jacobian_std if e.challenge else None, 3),
)


def evaluation_table(found: Sequence[Evaluated]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows: one line per pair, and their mean, with the number of pairs if it is smaller."""
    challenge = any(each.challenge is not None for each in found)
    columns = (*COLUMNS, *(CHALLENGE_COLUMNS if challenge else ()))
    rows = [
        [each.task, f"{each.fixed} <- {each.moving}", *(_cell(column, [each]) for column in columns)] for each in found
    ]
    rows.append(["all", f"mean of {len(found)}", *(_cell(column, found) for column in columns)])
    return ("set", "fixed <- moving", *(name for name, _, _ in columns)), rows


def _cell(column: Column, found: Sequence[Evaluated]) -> str:
    _, value, digits = column
    values = [value(each) for each in found]
    mean, there = mean_of(values), sum(each is not None for each in values)
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" + (f" ({there} of {len(values)})" if there < len(values) else "")
