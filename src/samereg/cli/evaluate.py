"""`samereg evaluate`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.cli.options import MessageFlags, Messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Score transforms that any tool produced.

    For every pair of the dataset RESULTS holds FIXED__MOVING/transform.h5 or FIXED__MOVING.h5 (or .tfm, or a
    displacement field as .nii.gz, .mha or .nrrd), a map from fixed to moving points. Labels are scored where both
    scans exist; distances are in mm.
    """

    dataset: Annotated[Path, arg(metavar="DIR")]
    """Folder with manifest.csv and pairs.csv, or with dataset.json of Learn2Reg."""

    results: Annotated[Path, arg(metavar="DIR")]
    """Folder of the transforms."""

    sets: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Sets of pairs to score; all of the dataset by default."""

    output: Annotated[Path | None, arg(aliases=["-o"], metavar="JSON")] = None
    """Write every score, label by label, as JSON too."""

    learn2reg_compat: bool = False
    """Show beside ours the figures as the Learn2Reg challenge computes them."""

    overwrite: bool = False
    """Replace the output if it exists."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Score, print a table, return the exit code."""
        from samereg.app.overwriting import refuse_existing
        from samereg.app.record import to_plain
        from samereg.bench.benchmark import open_dataset
        from samereg.bench.evaluate import evaluate_dataset, write_evaluation
        from samereg.bench.evaluation_table import evaluation_table
        from samereg.cli.console import print_json, print_table, start_logging

        start_logging(self.messages)
        if self.output is not None:
            refuse_existing(self.output, overwrite=self.overwrite)
        dataset = open_dataset(str(self.dataset), self.results, small=False).only(self.sets)
        found = evaluate_dataset(dataset, self.results, learn2reg_compat=self.learn2reg_compat)
        if self.output is not None:
            write_evaluation(found, self.output)
        if self.messages.json:
            print_json(to_plain(found))
        else:
            print_table(*evaluation_table(found))
        return 0
