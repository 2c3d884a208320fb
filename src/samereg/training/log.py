"""The curve of a training: one CSV and one TensorBoard event file a run."""

import csv
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

LOG_NAME = "log.csv"
EVENTS = "events.out.tfevents"
"""How names of TensorBoard's files begin."""


class TrainingLog:
    """Appends rows; rows after the step that a run resumes from are dropped first."""

    def __init__(self, run: Path, *, columns: tuple[str, ...], first_step: int) -> None:
        """Begin or go on.

        Args:
            run: folder of the run, made if it is missing.
            columns: names of the values of each row.
            first_step: step that the run goes on from, 0 for a new one.
        """
        run.mkdir(parents=True, exist_ok=True)
        self.path, self.columns = run / LOG_NAME, columns
        kept = [row for row in _rows(self.path) if int(row[0]) <= first_step]
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows([("step", "kind", *columns, "rate", "seconds"), *kept])
        self.writer = SummaryWriter(str(run), purge_step=first_step or None)

    def write(self, step: int, kind: str, values: Mapping[str, float], *, rate: float, seconds: float) -> None:
        """Add one row: a step's values by column, its kind of batch, its learning rate and its time."""
        numbers = [f"{values[name]:.4f}" for name in self.columns]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([step, kind, *numbers, f"{rate:.6f}", f"{seconds:.2f}"])
        for name in self.columns:
            self.writer.add_scalar(f"{kind}/{name}", values[name], step)


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]
