"""Registers every pair of some sets with every preset, and writes tables.

    python recipes/real_data.py --data DIR --output RESULTS --table FILE --sets test-expert test-threshold

DIR is a data folder as `recipes/labelled.py` describes it. RESULTS/PRESET/FIXED__MOVING/ gets what `samereg register`
writes; a pair that is there already with the same settings and weights is only scored again.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from labelled import mean, read_table, score

from samereg.app.record import to_plain
from samereg.app.registration import RegisterSettings, register_files
from samereg.io.images import read_labels
from samereg.io.transforms import read_transform
from samereg.weights.deform import read_deform_weights
from samereg.weights.registry import read_weights

Preset = Literal["affine", "fast", "default", "best"]
PRESETS: tuple[Preset, ...] = ("affine", "fast", "default", "best")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one registration scored."""

    preset: Preset
    dice: dict[str, float]
    folded_percent: float
    jacobian_std: float
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
                jacobian_std=record["quality"]["jacobian_std"],
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
            used = record.get("deform")
            if used is None or used["checksum"] == read_deform_weights(settings.deform).checksum:
                return dict(record)
    register_files(fixed, moving, folder, settings=settings, overwrite=True)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def table(name: str, rows: dict[str, list[Row]]) -> str:
    """Markdown tables of a set: mean Dice by pair, regularity and time, and Dice by label, one column a preset."""
    columns = [list(column) for column in zip(*rows.values(), strict=True)]
    lines = [f"## {name}\n", *heading("fixed <- moving")]
    lines += [line(pair, [f"{row.mean:.2f}" for row in found]) for pair, found in rows.items()]
    means = [f"**{mean(row.mean for row in column):.2f}**" for column in columns]
    lines += [line(f"mean of {len(rows)}", means), "", *heading("mean")]
    lines += [
        line("folded (%)", [f"{mean(row.folded_percent for row in column):.4f}" for column in columns]),
        line("std of the Jacobian", [f"{mean(row.jacobian_std for row in column):.3f}" for column in columns]),
        line("inverse consistency (mm)", [f"{mean(row.inverse_mm for row in column):.3f}" for column in columns]),
        line("seconds", [f"{mean(row.seconds for row in column):.1f}" for column in columns]),
        line("longest", [f"{max(row.seconds for row in column):.1f}" for column in columns]),
        "",
        *heading("label"),
    ]
    for label in sorted({label for found in rows.values() for label in found[0].dice}):
        values = [mean(row.dice[label] for row in column if label in row.dice) for column in columns]
        lines.append(line(label, [f"{value:.1f}" for value in values]))
    return "\n".join(lines) + "\n"


def heading(first: str) -> list[str]:
    """Head of a table with one column a preset."""
    return [line(first, PRESETS), line("---", ["---"] * len(PRESETS))]


def line(first: str, cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join([first, *cells]) + " |"


if __name__ == "__main__":
    main()
