"""Trains the deformation networks: the shipped one, and the variants of the paper's tables on equal budgets.

    python recipes/deform.py --data DIR --validation FILE --output RUNS                     the shipped sam-vm
    python recipes/deform.py --data DIR --validation FILE --output RUNS --variants all      all six of the tables
    python recipes/deform.py --data DIR --validation FILE --output RUNS --variants table-2  the four of table 2

RUNS/ALIGNMENT-VARIANT/ gets one run each; embeddings and alignments are made once, in RUNS/cache. Every run can be
stopped and started again. The six share scans, pairs, crops, seed, steps and everything else but what their name says.
On two cores a step takes 1 to 2 s. On a GPU give more: --pairs 0 --steps 7000 is the paper's ten epochs of all ordered
pairs of 27 scans.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samereg.app.deform_training import DeformSources, train_deform_from_files
from samereg.training.deform import DeformTraining, Variant

PAIRS = 48
STEPS = 800
"""Budget of the shipped network: what two cores manage in half an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """One network of the tables."""

    alignment: Literal["fast", "affine"]
    variant: Variant

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.alignment}-{self.variant}"


SHIPPED = (Network(alignment="fast", variant="sam-vm"),)
TABLE_2 = (
    Network(alignment="affine", variant="vm"),
    Network(alignment="affine", variant="sam-vm"),
    Network(alignment="affine", variant="sam-corr"),
    Network(alignment="affine", variant="sam-loss"),
)
CHOICES = {
    "shipped": SHIPPED,
    "table-2": TABLE_2,
    "all": (*SHIPPED, Network(alignment="fast", variant="vm"), *TABLE_2),
}


def main() -> None:
    """Parse and train one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--variants", choices=tuple(CHOICES), default="shipped")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    for network in CHOICES[options.variants]:
        sources = DeformSources(
            data=options.data,
            validation=options.validation,
            pairs=options.pairs,
            alignment=network.alignment,
            cache=options.output / "cache",
        )
        settings = DeformTraining(variant=network.variant, steps=options.steps)
        print(train_deform_from_files(sources, options.output / network.name, settings=settings))


if __name__ == "__main__":
    main()
