"""Training log: a CSV and a TensorBoard event file per run."""

import csv
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

LOG_NAME = "log.csv"
EVENTS = "events.out.tfevents"
"""Prefix of TensorBoard event files."""


class TrainingLog:
    """Appends rows; when resuming, rows after the checkpoint are removed first."""

    def __init__(self, run: Path, *, columns: tuple[str, ...], first_step: int) -> None:
        """Open the log.

        Args:
            run: folder of the run, created if missing.
            columns: names of the logged values.
            first_step: step from which the run resumes, 0 for a new one.
        """
        run.mkdir(parents=True, exist_ok=True)
        self.path, self.columns = run / LOG_NAME, columns
        kept = [row for row in _rows(self.path) if int(row[0]) <= first_step]
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows([("step", "kind", *columns, "rate", "seconds"), *kept])
        self.writer = SummaryWriter(str(run), purge_step=first_step or None)

    def write(self, step: int, kind: str, values: Mapping[str, float], *, rate: float, seconds: float) -> None:
        """Appends a row: values by column, kind of batch, learning rate and time."""
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
