"""`samereg follow`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import FollowSettings
from samereg.cli.options import MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """Follow lesions from a baseline scan to later ones.

    Writes lesions.csv: for each lesion and visit where it is, how sure that is, whether the scan shows the place, its
    size, and what became of it; and visits.csv: sums of diameters and the response by RECIST 1.1.
    """

    baseline: Annotated[Path, arg(metavar="CT")]
    """First scan."""

    followup: Annotated[tuple[Path, ...], arg(metavar="CT [CT ...]")]
    """Later scans, in their order."""

    lesions: Annotated[Path, arg(metavar="FILE")]
    """Lesions of the first scan: a label map (a value for each lesion, or one mask whose connected parts are the
    lesions), or points."""

    output: OutputFolder
    """Folder to make."""

    followup_lesions: Annotated[tuple[Path, ...], arg(metavar="FILE [FILE ...]")] = ()
    """Lesions of each later scan, to find what is stable, larger, smaller, new, gone, merged or split."""

    settings: Annotated[FollowSettings, arg(name="")] = field(default_factory=FollowSettings)

    overwrite: bool = False
    """Write into the output folder even if it holds something; other files in it stay."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Follow, print both tables, return the exit code."""
        from samereg.app.follow.run import FollowPaths, follow_files
        from samereg.app.follow.tables import LESION_COLUMNS, VISIT_COLUMNS, lesion_cells, visit_cells
        from samereg.app.plain import to_plain
        from samereg.cli.console import print_facts, print_json, print_table, progress, start_logging

        start_logging(self.messages)
        paths = FollowPaths(
            baseline=self.baseline,
            followups=self.followup,
            lesions=self.lesions,
            followup_lesions=self.followup_lesions,
        )
        with progress(self.messages) as on_progress:
            followed = follow_files(
                paths, self.output, settings=self.settings, overwrite=self.overwrite, on_progress=on_progress
            )
        if self.messages.json:
            print_json(to_plain(followed))
            return 0
        ordered = sorted(followed.lesions, key=lambda row: (row.lesion, row.visit))
        print_table(LESION_COLUMNS, [lesion_cells(row) for row in ordered])
        print_table(VISIT_COLUMNS, [visit_cells(row) for row in followed.visits])
        print_facts("Not for clinical use.", {"written": f"{self.output}: lesions.csv visits.csv"})
        return 0
