"""`samereg cohort`: flags, and what it prints."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, PairsSettings
from samereg.cli.options import MessageFlags, Messages, OutputFolder

FAILED_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """Register many pairs of scans, and go on after a stop.

    Name the pairs by --pairs, or by --reference and --data, or by --all-to-all. Writes a run folder for each pair
    (FIXED__MOVING/, as `samereg register` does, with what was carried along in labels/, images/ and points/),
    summary.csv and index.html. Stopped at any moment, the same command goes on where it was.
    """

    output: OutputFolder
    """Folder to make, or to go on in."""

    pairs: Annotated[OptionalPath, arg(metavar="CSV")] = None
    """Table with the columns fixed and moving; optionally name, labels, masks, images and points of the moving scan to
    carry along, fixed_labels to compare with, fixed_series and moving_series. Paths relative to the table."""

    reference: Annotated[OptionalPath, arg(metavar="CT")] = None
    """Fixed scan of all pairs, with --data."""

    data: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of scans, or text file with one path a line: each is registered onto the reference."""

    all_to_all: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of scans, or text file with one path a line: each is registered onto every other one."""

    settings: Annotated[PairsSettings, arg(name="")] = field(default_factory=PairsSettings)

    report: bool = False
    """Write report.html into every run folder too, about 5 MB each."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Register what is left, say what came of it, return the exit code."""
        from functools import partial

        from samereg.app.pairs.run import run_pairs
        from samereg.app.pairs.ways import choose_pairs
        from samereg.app.plain import to_plain
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.cli.streams import print_error
        from samereg.errors import QualityError
        from samereg.optional import require_packages
        from samereg.report.pair_pictures import FinishPair
        from samereg.report.pairs_page import publish

        start_logging(self.messages)
        if self.settings.scheduler:
            require_packages("distributed", purpose="samereg cohort --scheduler")
        pairs = choose_pairs(self.pairs, self.reference, self.data, self.all_to_all)
        with progress(self.messages) as on_progress:
            tally = run_pairs(
                pairs,
                self.output,
                settings=self.settings,
                finish=FinishPair(report=self.report),
                publish=partial(publish, self.output),
                on_progress=on_progress,
            )
        if self.messages.json:
            print_json(to_plain(tally))
        else:
            facts = {
                "pairs": f"{tally.made} registered now, {tally.kept} kept from before",
                "failed": str(len(tally.failed)),
                "written": f"{self.output / 'index.html'} summary.csv FIXED__MOVING/",
            }
            print_facts(f"{len(pairs)} pairs", facts)
        for record in tally.failed[:FAILED_SHOWN]:
            print_error(f"samereg: error: {record.name}: {record.reason}")
        if len(tally.failed) > FAILED_SHOWN:
            print_error(f"samereg: error: {len(tally.failed) - FAILED_SHOWN} further pairs failed; see summary.csv")
        return QualityError.exit_code if tally.failed else 0
