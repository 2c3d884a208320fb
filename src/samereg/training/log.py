"""The curve of a training: one CSV and one TensorBoard event file a run."""

import csv
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from samereg.training.contrast import ContrastLoss

COLUMNS = ("step", "kind", "loss", "global", "local", "global_recall", "local_recall", "rate", "seconds")


class TrainingLog:
    """Appends rows; rows after the step that a run resumes from are dropped first."""

    def __init__(self, run: Path, *, first_step: int) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.path = run / "log.csv"
        kept = [row for row in _rows(self.path) if int(row[0]) <= first_step]
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *kept])
        self.writer = SummaryWriter(str(run), purge_step=first_step or None)

    def write(self, step: int, kind: str, loss: ContrastLoss, rate: float, seconds: float) -> None:
        """Add one row."""
        values = [float(v) for v in (loss.total, loss.global_, loss.local, loss.global_recall, loss.local_recall)]
        row = [step, kind, *(f"{v:.4f}" for v in values), f"{rate:.6f}", f"{seconds:.2f}"]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)
        for name, value in zip(COLUMNS[2:7], values, strict=True):
            self.writer.add_scalar(f"{kind}/{name}", value, step)


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]
