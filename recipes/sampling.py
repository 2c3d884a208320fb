"""Compares ways of choosing points and trusting their matches, on labelled pairs; writes a table.

    python recipes/sampling.py --data DIR --set val --table FILE

DIR is a data folder as `recipes/labelled.py` describes it. Every pair is registered by
SAM-affine and SAM-coarse with each way; scans are embedded once.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labelled import labelled_pairs, mean

from samereg.app.machine import prepare_machine
from samereg.app.settings import MachineSettings
from samereg.matching.embed import load_embedder
from samereg.matching.filters import MatchFilter, StableFilter, ThresholdFilter
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.stage import Stage, beginning

Way = Callable[[], tuple[Stage, ...]]


def stages(match_filter: MatchFilter, rounds: int) -> tuple[Stage, ...]:
    """SAM-affine and SAM-coarse with one way of sampling."""
    return (
        replace(AffineStage(), filter=match_filter, stable_rounds=rounds),
        replace(CoarseStage(), filter=match_filter, stable_rounds=rounds),
    )


WAYS: dict[str, Way] = {
    "grid, threshold 0.7 (the paper's)": lambda: stages(ThresholdFilter(), 0),
    "grid, cycle consistency": lambda: stages(StableFilter(), 0),
    "stable points, 1 round": lambda: stages(StableFilter(), 1),
    "stable points, 3 rounds": lambda: stages(StableFilter(), 3),
}


def main() -> None:
    """Register with every way, score, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="val")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    prepare_machine(MachineSettings(device="cpu"), seed=0)
    text = table(options.set, {name: measure(options.data, options.set, way()) for name, way in WAYS.items()})
    print(text)
    if options.table:
        options.table.write_text(text, encoding="utf-8")


def measure(data: Path, name: str, recipe: tuple[Stage, ...]) -> list[tuple[float, float, float]]:
    """Mean Dice after affine and after coarse, and seconds, of each pair."""
    rows = []
    for labelled in labelled_pairs(data, name, load_embedder()):
        result = beginning()
        dice, seconds = [], 0.0
        for stage in recipe:
            began = time.perf_counter()
            result = stage.run(labelled.pair, result)
            seconds += time.perf_counter() - began
            dice.append(mean(labelled.score(result.transform).values()))
        rows.append((dice[0], dice[1], seconds))
    return rows


def table(name: str, found: dict[str, list[tuple[float, float, float]]]) -> str:
    """Markdown table, one row a way."""
    lines = [
        "# Which points, which matches\n",
        f"Written by `python recipes/sampling.py --set {name}`: mean Dice (%) over {len(next(iter(found.values())))} "
        "pairs after SAM-affine and after SAM-coarse.\n",
        "| sampling | affine | affine + coarse | worst pair | seconds |",
        "|---|---|---|---|---|",
    ]
    for way, rows in found.items():
        affine, coarse, seconds = (mean(row[column] for row in rows) for column in range(3))
        worst = min(row[1] for row in rows)
        lines.append(f"| {way} | {affine:.2f} | {coarse:.2f} | {worst:.2f} | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
