"""Registers every pair of a set and measures Dice, folding and inverse consistency.

    python recipes/real_data.py --data DIR --set test-expert --output RESULTS [--preset fast|affine]

DIR holds `manifest.csv` (id, image, labels) and `pairs.csv` (set, fixed, moving). RESULTS/FIXED__MOVING/ gets what
`samereg register` writes. Labels are scored where the moved scan exists; those that only one scan has are left out.
"""

import argparse
import csv
import json
from pathlib import Path

import torch

from samereg.app.registration import RegisterSettings, register_files
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.images import read_labels
from samereg.io.transforms import read_transform
from samereg.metrics.overlap import dice

SMALLEST_VOXELS = 200
"""Labels with less of them in common view are not scored."""


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", dest="name", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--preset", default="fast", choices=("fast", "affine"))
    parser.add_argument("--filter", default="stable", choices=("stable", "threshold"))
    parser.add_argument("--filler", default="regularised", choices=("regularised", "linear"))
    parser.add_argument("--embedding", default="compact")
    options = parser.parse_args()
    settings = RegisterSettings(
        preset=options.preset, filter=options.filter, filler=options.filler, embedding=options.embedding
    )
    rows = register_set(options.data, options.name, options.output, settings)
    mean = sum(rows) / len(rows)
    print(f"{options.name}, {options.preset}: {len(rows)} pairs, mean Dice {mean:.2f} %")


def register_set(data: Path, name: str, output: Path, settings: RegisterSettings) -> list[float]:
    """Mean Dice (%) of each pair of a set, in the order of `pairs.csv`."""
    scans = {row["id"]: row for row in _table(data / "manifest.csv")}
    means = []
    for row in _table(data / "pairs.csv"):
        if row["set"] != name:
            continue
        fixed, moving = scans[row["fixed"]], scans[row["moving"]]
        folder = output / f"{row['fixed']}__{row['moving']}"
        record = register_files(
            data / fixed["image"], data / moving["image"], folder, settings=settings, overwrite=True
        )
        labels = (read_labels(data / fixed["labels"]), read_labels(data / moving["labels"]))
        scores = score(*labels, read_transform(folder / "transform.h5"))
        means.append(sum(scores.values()) / len(scores))
        quality = record.quality
        print(
            f"{folder.name}: Dice {means[-1]:.2f} %, folded {100 * quality.folded_fraction:.3f} %, "
            f"inverse {quality.inverse_consistency_mm:.3f} mm, {record.seconds:.1f} s",
            json.dumps({label: round(value, 2) for label, value in scores.items()}),
            flush=True,
        )
    return means


def score(fixed: LabelMap, moving: LabelMap, transform: Transform) -> dict[int, float]:
    """Dice (%) of each label that both scans have, where the moved scan exists."""
    moved = resample_labels(moving, transform, fixed.grid)
    ones = LabelMap(data=torch.ones_like(moving.data), grid=moving.grid)
    seen = resample_labels(ones, transform, fixed.grid).data > 0
    overlap = dice(fixed.data * seen, moved.data * seen)
    return {
        label: 100 * value
        for label, value in overlap.items()
        if int(((fixed.data == label) & seen).sum()) >= SMALLEST_VOXELS and bool((moving.data == label).any())
    }


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
