"""Records of a run grouped by method and task, for tables and figures."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from samereg.bench.record import CaseRecord
from samereg.bench.scores import Scores, mean_of

Value = Callable[[Scores], float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One method on one task.

    Attributes:
        method: name.
        title: in tables.
        task: set of pairs.
        records: one per pair.
    """

    method: str
    title: str
    task: str
    records: tuple[CaseRecord, ...]

    @property
    def done(self) -> tuple[CaseRecord, ...]:
        """Records with scores."""
        return tuple(record for record in self.records if record.scores is not None)

    @property
    def failed(self) -> int:
        """Pairs on which it failed."""
        return sum(record.status == "failed" for record in self.records)

    @property
    def unavailable(self) -> str:
        """Why it could not run here; empty if it could."""
        return next((record.reason for record in self.records if record.status == "unavailable"), "")

    @property
    def anchor(self) -> str:
        """Unique anchor of the list of its pairs."""
        return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", f"{self.method}-{self.task}")

    def mean(self, value: Value) -> float | None:
        """Mean of a value over the pairs that did not fail."""
        return mean_of([value(record.scores) for record in self.done if record.scores is not None])

    @property
    def seconds(self) -> float | None:
        """Mean computing time, with both scans in memory."""
        return mean_of([record.timing.compute for record in self.done if record.timing is not None])

    def dice_by_pair(self) -> dict[str, float | None]:
        """Mean Dice of each pair, 0 to 1; None if it failed."""
        return {
            f"{record.task} {record.fixed} {record.moving}": record.scores.dice if record.scores else None
            for record in self.records
            if record.status != "unavailable"
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Every method on every task.

    Attributes:
        methods: names, in the order of tables.
        tasks: names, in the order of columns.
        cells: by method and task.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    def row(self, method: str) -> list[Cell]:
        """A method on every task."""
        return [self.cells[method, task] for task in self.tasks if (method, task) in self.cells]

    def over_tasks(self, method: str) -> Cell:
        """A method on the pairs of all tasks together."""
        cells = self.row(method)
        records = tuple(record for cell in cells for record in cell.records)
        return Cell(method=method, title=cells[0].title, task="all", records=records)


def summarise(records: Sequence[CaseRecord]) -> Summary:
    """Groups records, which are in the order of tables."""
    grouped: dict[tuple[str, str], list[CaseRecord]] = {}
    for record in records:
        grouped.setdefault((record.method, record.task), []).append(record)
    cells = {
        (method, task): Cell(method=method, title=found[0].title, task=task, records=tuple(found))
        for (method, task), found in grouped.items()
    }
    return Summary(
        methods=tuple(dict.fromkeys(method for method, _ in cells)),
        tasks=tuple(dict.fromkeys(task for _, task in cells)),
        cells=cells,
    )


def dice_by_group(cell: Cell) -> dict[str, list[float]]:
    """Dice of every structure of every pair, by group of structures."""
    groups: dict[str, list[float]] = {}
    for record in cell.done:
        for label in record.scores.labels if record.scores else ():
            if label.dice is not None:
                groups.setdefault(label.group, []).append(label.dice)
    return groups
