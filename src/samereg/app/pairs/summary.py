"""Table of many pairs: one line each."""

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path

from samereg.app.pairs.record import PairRecord
from samereg.io.points import write_table_csv

SUMMARY = "summary.csv"

Cell = Callable[[PairRecord], str]

MEASURES = (
    ("match_count", 0),
    ("kept_fraction", 4),
    ("match_error_mm", 3),
    ("similarity", 4),
    ("inverse_consistency_mm", 4),
    ("folded_fraction", 6),
    ("jacobian_std", 4),
    ("overlap_fraction", 4),
)
"""Fields of `Quality` and digits of each."""

TIMES = ("reading", "registering", "writing")
"""Fields of `PairSeconds`: the only columns that differ from run to run."""


def write_summary(records: Sequence[PairRecord], path: Path) -> None:
    """Write one line a pair, in the order of the pairs: status, verdict, measures, error, times.

    Raises:
        FileError: it cannot be written.
    """
    write_table_csv(columns(), [row(each) for each in records], path)


def columns() -> tuple[str, ...]:
    """Header of the table."""
    measures = (name for name, _ in MEASURES)
    times = (f"{name}_s" for name in TIMES)
    return ("pair", "fixed", "moving", "status", "verdict", *measures, "dice_before", "dice", "error", *times)


def row(record: PairRecord) -> list[str]:
    """Cells of one pair; empty where nothing was measured."""
    quality = [
        "" if record.quality is None else _number(float(getattr(record.quality, name)), digits)
        for name, digits in MEASURES
    ]
    overlap = ["" if value is None else _number(value, 4) for value in (record.dice_before, record.dice)]
    times = ["" if record.seconds is None else _number(getattr(record.seconds, name), 3) for name in TIMES]
    scans = [str(record.fixed), str(record.moving)]
    return [record.name, *scans, record.status, record.verdict or "", *quality, *overlap, record.reason, *times]


def _number(value: float, digits: int) -> str:
    return "" if isnan(value) else f"{value:.{digits}f}"
