"""Labelled pairs of scans and how a transform scores on them: what the measuring recipes share.

A data folder holds `manifest.csv` (id, image, labels), `labels.csv` (value, name) and `pairs.csv` (set, fixed, moving).
Labels are scored where the moved scan exists. Oesophagus and spinal cord, contoured over different lengths in different
scans, are scored between the first and the last slice that both contours reach. Dice in %.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samereg.app.scans import read_scan
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.images import read_labels
from samereg.matching.embed import Embedder
from samereg.metrics.overlap import dice
from samereg.pipeline.pair import Pair, PreparedScan, prepare_scan

SMALLEST_VOXELS = 200
"""Labels with fewer of them in common view are not scored."""

TUBES = {"esophagus", "spinal_cord"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledPair:
    """Two scans ready for the stages, and their labels."""

    name: str
    pair: Pair
    fixed_labels: LabelMap
    moving_labels: LabelMap
    label_names: dict[int, str]

    def score(self, transform: Transform) -> dict[str, float]:
        """Dice (%) of each label that both scans have."""
        return score(self.fixed_labels, self.moving_labels, transform, self.label_names)


def labelled_pairs(data: Path, name: str, embedder: Embedder) -> Iterator[LabelledPair]:
    """Pairs of a set in the order of `pairs.csv`; each scan is embedded once."""
    scans = {row["id"]: row for row in read_table(data / "manifest.csv")}
    names = {int(row["value"]): row["name"] for row in read_table(data / "labels.csv")}
    prepared: dict[str, PreparedScan] = {}
    for row in read_table(data / "pairs.csv"):
        if row["set"] != name:
            continue
        for scan in (row["fixed"], row["moving"]):
            if scan not in prepared:
                prepared[scan] = prepare_scan(read_scan(data / scans[scan]["image"]), embedder)
        fixed, moving = (read_labels(data / scans[row[side]]["labels"]) for side in ("fixed", "moving"))
        yield LabelledPair(
            name=f"{row['fixed']} <- {row['moving']}",
            pair=Pair(fixed=prepared[row["fixed"]], moving=prepared[row["moving"]], embedder=embedder),
            fixed_labels=fixed,
            moving_labels=moving,
            label_names=names,
        )


def score(fixed: LabelMap, moving: LabelMap, transform: Transform, names: dict[int, str]) -> dict[str, float]:
    """Dice (%) of each label that both scans have."""
    moved = resample_labels(moving, transform, fixed.grid).data
    ones = LabelMap(data=torch.ones_like(moving.data), grid=moving.grid)
    seen = resample_labels(ones, transform, fixed.grid).data > 0
    scores = {}
    for value in sorted(set(fixed.data.unique().tolist()) & set(moving.data.unique().tolist()) - {0}):
        first, second = (fixed.data == value) & seen, (moved == value) & seen
        if names[value] in TUBES:
            common = common_slices(first, second)
            first, second = first & common, second & common
        if int(first.sum()) >= SMALLEST_VOXELS:
            scores[names[value]] = 100 * dice(as_label(first), as_label(second))[1]
    return scores


def common_slices(first: Bool[Tensor, "d h w"], second: Bool[Tensor, "d h w"]) -> Bool[Tensor, "d 1 1"]:
    """Slices between the first and the last that both masks reach."""
    keep = torch.zeros(first.shape[0], 1, 1, dtype=torch.bool)
    reached = [mask.any(2).any(1).nonzero()[:, 0] for mask in (first, second)]
    if all(len(slices) for slices in reached):
        keep[int(max(s[0] for s in reached)) : int(min(s[-1] for s in reached)) + 1] = True
    return keep


def as_label(mask: Bool[Tensor, "d h w"]) -> Int[Tensor, "d h w"]:
    """A mask as a map of one label, 1."""
    return mask.int()


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    listed = list(values)
    return sum(listed) / len(listed)


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
