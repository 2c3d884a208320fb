"""`samereg report`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from samereg.app.settings import OptionalPath
from samereg.cli.options import MessageFlags, Messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Show a registration on one page, with a verdict.

    Writes report.html: linked viewers of both scans, measures and their meaning, deformation, matches, times and
    provenance. The page is self-contained; without JavaScript it shows still images.
    """

    registration: Positional[Annotated[Path, arg(metavar="DIR")]]
    """Output folder of `samereg register`."""

    fixed: Annotated[OptionalPath, arg(aliases=["-f"], metavar="CT")] = None
    """The fixed scan, if it has been moved."""

    moving: Annotated[OptionalPath, arg(aliases=["-m"], metavar="CT")] = None
    """The moving scan, likewise."""

    fixed_labels: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """Label map of the fixed scan, for outlines and a table of structures; needs --moving-labels too."""

    moving_labels: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """Label map of the moving scan."""

    label_names: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """CSV file that names the labels, with the columns value and name."""

    output: Annotated[OptionalPath, arg(aliases=["-o"], metavar="FILE")] = None
    """Output page; by default report.html in the registration's folder."""

    overwrite: bool = False
    """Overwrite an existing page."""

    threads: int = 0
    """CPU threads; 0 uses all cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Write the page, print the verdict, return the exit code."""
        from samereg.app.machine import prepare_machine
        from samereg.app.plain import to_plain
        from samereg.app.settings import MachineSettings
        from samereg.cli.console import print_facts, print_json, start_logging
        from samereg.report.page import write_report
        from samereg.report.sources import ReportPaths

        start_logging(self.messages)
        prepare_machine(MachineSettings(device="cpu", threads=self.threads), seed=0)
        paths = ReportPaths(
            fixed=self.fixed,
            moving=self.moving,
            fixed_labels=self.fixed_labels,
            moving_labels=self.moving_labels,
            label_names=self.label_names,
        )
        record = write_report(self.registration, output=self.output, paths=paths, overwrite=self.overwrite)
        if self.messages.json:
            print_json(to_plain(record))
        else:
            facts = {finding.name.lower(): f"{finding.value} ({finding.level})" for finding in record.verdict.findings}
            facts["written"] = f"{record.output} ({record.size_bytes / 1e6:.1f} MB)"
            print_facts(f"{record.verdict.level}: {record.verdict.headline}", facts)
        return 0
