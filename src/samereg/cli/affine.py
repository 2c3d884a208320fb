"""`samereg affine`: flags and output."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import AffineSettings
from samereg.cli.options import FixedScan, MessageFlags, Messages, MovingScan, OutputFile


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineStart:
    """Compute an initial affine transform for another registration tool.

    Writes the map as an ITK transform, and beside it files for other tools: NAME_ants.mat,
    NAME_elastix.txt, NAME_greedy.mat, NAME_niftyreg.txt. Prints commands that use them.
    """

    fixed: FixedScan
    """Fixed scan: NIfTI, NRRD or MetaImage file, or folder of DICOM slices."""

    moving: MovingScan
    """Moving scan, to be aligned with the fixed one."""

    output: OutputFile
    """Output ITK transform: .tfm or .h5."""

    settings: Annotated[AffineSettings, arg(name="")] = field(default_factory=AffineSettings)

    overwrite: bool = False
    """Overwrite existing files."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Compute the map, print the commands, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.app.starting import find_start
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.cli.summary import report_faults

        start_logging(self.messages)
        with progress(self.messages) as on_progress:
            record = find_start(
                self.fixed,
                self.moving,
                self.output,
                settings=self.settings,
                overwrite=self.overwrite,
                on_progress=on_progress,
            )
        if self.messages.json:
            print_json(to_plain(record))
        else:
            facts = {start.tool: start.command for start in record.starts}
            print_facts(f"{self.moving} -> {self.fixed}, {record.quality.match_count} matches", facts)
        report_faults(record.faults)
        return record.exit_status
