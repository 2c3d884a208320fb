"""Labelled pairs of scans, prepared for the stages, and how a transform scores on them: what measuring recipes share.

A data folder is a dataset as `samereg bench` takes it: `manifest.csv`, `pairs.csv` and `labels.csv`, or Learn2Reg's
`dataset.json`. Scores are those of `samereg bench`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from samereg.app.scans import read_scan
from samereg.bench.benchmark import open_dataset
from samereg.bench.dataset import Dataset, Scan
from samereg.bench.scores import score_labels
from samereg.errors import InputError
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.io.images import read_labels
from samereg.matching.embed import Embedder
from samereg.pipeline.pair import Pair, PreparedScan, prepare_scan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledPair:
    """Two scans ready for the stages, and their labels."""

    name: str
    pair: Pair
    fixed_labels: LabelMap
    moving_labels: LabelMap
    dataset: Dataset

    def score(self, transform: Transform) -> dict[str, float]:
        """Dice (%) of each label that could be scored, where both scans exist."""
        scores = score_labels(self.fixed_labels, self.moving_labels, transform, structures=self.dataset)
        return {label.name: 100 * label.dice for label in scores if label.dice is not None}


def labelled_pairs(data: Path, name: str, embedder: Embedder) -> Iterator[LabelledPair]:
    """Pairs of a set in the order of the dataset; each scan is embedded once.

    Raises:
        InputError: a scan without labels.
    """
    dataset = open_dataset(str(data), data, small=False).only((name,))
    prepared: dict[str, PreparedScan] = {}
    for case in dataset.cases:
        for scan in (case.fixed, case.moving):
            if scan.name not in prepared:
                prepared[scan.name] = prepare_scan(read_scan(scan.image), embedder)
        yield LabelledPair(
            name=f"{case.fixed.name} <- {case.moving.name}",
            pair=Pair(fixed=prepared[case.fixed.name], moving=prepared[case.moving.name], embedder=embedder),
            fixed_labels=labels_of(case.fixed),
            moving_labels=labels_of(case.moving),
            dataset=dataset,
        )


def labels_of(scan: Scan) -> LabelMap:
    """Label map of a scan.

    Raises:
        InputError: it has none.
    """
    if scan.labels is None:
        raise InputError(f"{scan.image}: has no labels; need a label map for it in the dataset.")
    return read_labels(scan.labels)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    listed = list(values)
    return sum(listed) / len(listed)
