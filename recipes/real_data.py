"""Registers every pair of some sets, with SAM-affine alone and with SAM-coarse, and writes a table.

    python recipes/real_data.py --data DIR --output RESULTS --table FILE --sets test-expert test-threshold

DIR holds `manifest.csv` (id, image, labels) and `pairs.csv` (set, fixed, moving). RESULTS/PRESET/FIXED__MOVING/ gets
what `samereg register` writes; a pair that is there already with the same settings and weights is only scored again.
Labels are scored where the moved scan exists. Oesophagus and spinal cord, contoured over different lengths in
different scans, are scored between the first and the last slice that both contours reach. Dice in %.
"""

import argparse
import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samereg.app.record import to_plain
from samereg.app.registration import RegisterSettings, register_files
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.images import read_labels
from samereg.io.transforms import read_transform
from samereg.metrics.overlap import dice
from samereg.weights.registry import read_weights

Preset = Literal["affine", "fast"]
PRESETS: tuple[Preset, ...] = ("affine", "fast")

SMALLEST_VOXELS = 200
"""Labels with fewer of them in common view are not scored."""

TUBES = {"esophagus", "spinal_cord"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one registration scored."""

    preset: Preset
    dice: dict[str, float]
    folded_percent: float
    inverse_mm: float
    seconds: float

    @property
    def mean(self) -> float:
        """Mean over the labels."""
        return sum(self.dice.values()) / len(self.dice)


def main() -> None:
    """Register, score, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    text = "\n".join(table(name, run_set(options.data, name, options.output)) for name in options.sets)
    print(text)
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text(f"{HEADER}\n{text}", encoding="utf-8")


HEADER = """# Real scans

Written by `python recipes/real_data.py`. Mean Dice (%) over the labels of each pair, where the moved scan exists.
"""


def run_set(data: Path, name: str, output: Path) -> dict[str, list[Row]]:
    """Scores of each pair of a set, one row a preset, in the order of `pairs.csv`."""
    scans = {row["id"]: row for row in read_table(data / "manifest.csv")}
    names = {int(row["value"]): row["name"] for row in read_table(data / "labels.csv")}
    rows: dict[str, list[Row]] = {}
    for pair in read_table(data / "pairs.csv"):
        if pair["set"] != name:
            continue
        fixed, moving = scans[pair["fixed"]], scans[pair["moving"]]
        labels = read_labels(data / fixed["labels"]), read_labels(data / moving["labels"])
        for preset in PRESETS:
            folder = output / preset / f"{pair['fixed']}__{pair['moving']}"
            record = registered(data / fixed["image"], data / moving["image"], folder, preset)
            scores = score(*labels, read_transform(folder / "transform.h5"), names)
            row = Row(
                preset=preset,
                dice=scores,
                folded_percent=100 * record["quality"]["folded_fraction"],
                inverse_mm=record["quality"]["inverse_consistency_mm"],
                seconds=record["seconds"],
            )
            rows.setdefault(f"{pair['fixed']} <- {pair['moving']}", []).append(row)
    return rows


def registered(fixed: Path, moving: Path, folder: Path, preset: Preset) -> dict[str, Any]:
    """Record of a registration, made now unless it is there with the same settings and weights."""
    settings = RegisterSettings(preset=preset)
    path = folder / "run.json"
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        same = record["settings"] == to_plain(settings)
        if same and record["embedding"]["checksum"] == read_weights(settings.embedding).checksum:
            return dict(record)
    register_files(fixed, moving, folder, settings=settings, overwrite=True)
    return dict(json.loads(path.read_text(encoding="utf-8")))


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


def table(name: str, rows: dict[str, list[Row]]) -> str:
    """Markdown table of a set, its mean last."""
    lines = [
        f"## {name}\n",
        "| fixed <- moving | " + " | ".join(PRESETS) + " | folded (%) | inverse (mm) | seconds | labels (fast) |",
        "|---|" + "---|" * (len(PRESETS) + 4),
    ]
    for pair, found in rows.items():
        last = found[-1]
        labels = ", ".join(f"{label} {value:.1f}" for label, value in last.dice.items())
        means = " | ".join(f"{row.mean:.2f}" for row in found)
        lines.append(
            f"| {pair} | {means} | {last.folded_percent:.3f} | {last.inverse_mm:.3f} | {last.seconds:.1f} | {labels} |"
        )
    columns = zip(*rows.values(), strict=True)
    means = " | ".join(f"**{mean(row.mean for row in column):.2f}**" for column in columns)
    lasts = [found[-1] for found in rows.values()]
    folded, inverse = mean(row.folded_percent for row in lasts), mean(row.inverse_mm for row in lasts)
    seconds = mean(row.seconds for row in lasts)
    lines.append(f"| mean of {len(rows)} | {means} | {folded:.3f} | {inverse:.3f} | {seconds:.1f} | |\n")
    return "\n".join(lines)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    listed = list(values)
    return sum(listed) / len(listed)


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
