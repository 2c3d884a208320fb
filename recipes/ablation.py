"""Measures SAME's own rows of the paper's tables 1 and 2 on labelled pairs; writes the tables.

    python recipes/ablation.py --data DIR --set NAME --runs RUNS --table FILE

DIR is a data folder as `recipes/labelled.py` describes it; RUNS holds the networks that `recipes/deform.py
--variants all` trained. A row whose network is not there is left out and said to be missing.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from labelled import LabelledPair, labelled_pairs, mean

from samereg.app.machine import MachineSettings, prepare_machine
from samereg.errors import NoOverlapError
from samereg.estimate.deform import Deformer, load_deformer
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.matching.embed import load_embedder
from samereg.pipeline.recipes import TABLE_1, TABLE_2, Deformers, named_recipe
from samereg.pipeline.register import measure_regularity
from samereg.pipeline.stage import Stage

ROWS = (*TABLE_1, *(row for row in TABLE_2 if row not in TABLE_1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one row scored on one pair."""

    dice: float
    seconds: float
    jacobian_std: float
    folded: float


def main() -> None:
    """Measure every row that has its network, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    prepare_machine(MachineSettings(device="cpu"), seed=0)
    deformers = read_networks(options.runs)
    recipes = {row: named_recipe(row, deformers) for row in ROWS if network_of(row) in {None, *deformers}}
    found: dict[str, list[Result | None]] = {row: [] for row in recipes}
    for labelled in labelled_pairs(options.data, options.set, load_embedder()):
        for row, stages in recipes.items():
            found[row].append(run(labelled, stages))
            print(labelled.name, row, found[row][-1], flush=True)
    text = tables(options.set, found)
    print(text)
    if options.table:
        options.table.write_text(text, encoding="utf-8")


def read_networks(runs: Path) -> Deformers:
    """Every network that is there, by alignment and variant."""
    networks: dict[tuple[str, str], Deformer] = {}
    for path in sorted(runs.glob("*/deform.safetensors")):
        alignment, _, variant = path.parent.name.partition("-")
        networks[alignment, variant] = load_deformer(str(path))
    return networks


def network_of(row: str) -> tuple[str, str] | None:
    """Alignment and variant of the network that a row uses; None for a row without one."""
    last = row.rsplit("+", 1)[-1]
    if last in ("SA", "SC"):
        return None
    return "fast" if "+SC+" in row else "affine", last.lower()


def run(labelled: LabelledPair, stages: tuple[Stage, ...]) -> Result | None:
    """One registration, scored; None where it is refused."""
    transform: Transform = Affine.identity()
    began = time.perf_counter()
    try:
        for stage in stages:
            transform = stage.run(labelled.pair, transform).transform
    except NoOverlapError as error:
        print(f"{labelled.name}: {error}", flush=True)
        return None
    seconds = time.perf_counter() - began
    folded, spread = measure_regularity(labelled.pair, transform)
    return Result(dice=mean(labelled.score(transform).values()), seconds=seconds, jacobian_std=spread, folded=folded)


def tables(name: str, found: dict[str, list[Result | None]]) -> str:
    """Both tables as Markdown."""
    count = len(next(iter(found.values())))
    parts = [
        "# SAME's rows of the paper's tables\n",
        f"Written by `python recipes/ablation.py --set {name}`: means over {count} pairs; Dice in %, time in seconds "
        "on two CPU cores without reading, embedding and writing.\n",
    ]
    for title, rows in (("Table 1", TABLE_1), ("Table 2: without SAM-coarse", TABLE_2)):
        parts += [
            f"## {title}\n",
            "| method | Dice | time | std of the Jacobian | folded (%) |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            if row not in found:
                parts.append(f"| {row} | network not trained | | | |")
                continue
            results = [result for result in found[row] if result is not None]
            if len(results) < count:
                parts.append(f"| {row} | failed on {count - len(results)} of {count} pairs | | | |")
                continue
            dice, seconds = mean(r.dice for r in results), mean(r.seconds for r in results)
            spread, folded = mean(r.jacobian_std for r in results), mean(r.folded for r in results)
            parts.append(f"| {row} | {dice:.2f} | {seconds:.1f} | {spread:.3f} | {100 * folded:.4f} |")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
