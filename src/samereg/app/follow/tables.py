"""The tables of a follow-up: one row for each lesion and visit, and one for each visit with its response."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samereg.app.follow.visit import LesionRow
from samereg.io.points import write_table_csv
from samereg.metrics.lesions import Response, response

LESIONS, VISITS = "lesions.csv", "visits.csv"

LESION_COLUMNS = (
    *("lesion", "visit", "status", "x", "y", "z", "in_view", "expected_mm", "routes_mm", "routes_agree"),
    *("volume_ml", "longest_mm", "perpendicular_mm", "change_percent", "other_lesion", "note"),
)
VISIT_COLUMNS = ("visit", "scan", "sum_mm", "change_percent", "change_from_smallest_percent", "response")


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitRow:
    """One visit.

    Attributes:
        visit: 0 for the baseline.
        scan: its path.
        sum_mm: of the longest diameters of the baseline's lesions; None where one is not in view or nobody drew them.
        change: since the baseline, as a fraction.
        from_smallest: since the smallest sum so far.
        response: by RECIST 1.1; None for the baseline.
    """

    visit: int
    scan: str
    sum_mm: float | None
    change: float | None = None
    from_smallest: float | None = None
    response: Response | None = None


def visit_rows(rows: Sequence[LesionRow], scans: Sequence[str]) -> tuple[VisitRow, ...]:
    """A row for each visit.

    Every lesion of the baseline counts as a target: whoever reads it chooses fewer.

    Args:
        rows: of all lesions and visits.
        scans: path of each visit's scan.
    """
    targets = {row.lesion for row in rows if row.visit == 0}
    sums = [_sum_mm([row for row in rows if row.visit == number], targets) for number in range(len(scans))]
    found = [VisitRow(visit=0, scan=scans[0], sum_mm=sums[0])]
    for number in range(1, len(scans)):
        so_far = [row for row in rows if 0 < row.visit <= number]
        here = [row for row in so_far if row.visit == number and row.lesion in targets]
        category, change, from_smallest = response(
            sums[: number + 1],
            has_new=any(row.status == "new" for row in so_far),
            all_gone=all(row.status == "gone" for row in here),
        )
        found.append(
            VisitRow(
                visit=number,
                scan=scans[number],
                sum_mm=sums[number],
                change=change,
                from_smallest=from_smallest,
                response=category,
            )
        )
    return tuple(found)


def _sum_mm(rows: Sequence[LesionRow], targets: set[int]) -> float | None:
    """Sum of longest diameters of the baseline's lesions and of parts that they split into."""
    own = [row for row in rows if row.lesion in targets or (row.other in targets and row.status == "split")]
    if any(row.longest_mm is None and row.status not in ("gone", "merged") for row in own):
        return None
    return sum(row.longest_mm or 0.0 for row in own)


def write_lesions(rows: Sequence[LesionRow], path: Path) -> None:
    """Write one line for each lesion and visit, those of one lesion after each other.

    Raises:
        FileError: it cannot be written.
    """
    ordered = sorted(rows, key=lambda row: (row.lesion, row.visit))
    write_table_csv(LESION_COLUMNS, [lesion_cells(row) for row in ordered], path)


def lesion_cells(row: LesionRow) -> list[str]:
    """Cells as of `LESION_COLUMNS`; empty where nothing is known."""
    place = ["", "", ""] if row.place_mm is None else [f"{value:.2f}" for value in row.place_mm]
    agree = "" if row.routes_agree is None else _yes(row.routes_agree)
    sizes = [_number(value, 3) for value in (row.volume_ml, row.longest_mm, row.perpendicular_mm)]
    change = _number(None if row.change is None else 100.0 * row.change, 1)
    return [
        *(str(row.lesion), str(row.visit), row.status, *place, _yes(row.in_view)),
        *(_number(row.expected_mm, 1), _number(row.routes_mm, 1), agree, *sizes, change),
        *("" if row.other is None else str(row.other), row.note),
    ]


def write_visits(rows: Sequence[VisitRow], path: Path) -> None:
    """Write one line for each visit.

    Raises:
        FileError: it cannot be written.
    """
    write_table_csv(VISIT_COLUMNS, [visit_cells(row) for row in rows], path)


def visit_cells(row: VisitRow) -> list[str]:
    """Cells as of `VISIT_COLUMNS`."""
    changes = [_number(None if value is None else 100.0 * value, 1) for value in (row.change, row.from_smallest)]
    return [str(row.visit), row.scan, _number(row.sum_mm, 1), *changes, row.response or ""]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
