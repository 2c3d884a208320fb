"""`samereg list`: flags, and what it prints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from samereg.cli.options import MessageFlags, Messages


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSeries:
    """List the DICOM series of a folder, and say which one is taken.

    For each series: study date, modality, description, images, size, spacing and field of view in mm (columns, rows,
    slices), contrast agent, the UID for --series, and why it is taken or not. Patients are not named.
    """

    folder: Positional[Annotated[Path, arg(metavar="DIR")]]
    """Folder, searched with all its subfolders."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """List, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.cli.console import print_json, print_table, start_logging
        from samereg.io.dicom_listing import list_series

        start_logging(self.messages)
        entries = list_series(self.folder)
        if self.messages.json:
            print_json(to_plain(entries))
            return 0
        header = ("", "date", "kind", "description", "images", "size", "spacing", "field of view", "contrast")
        rows = [
            [
                "*" if entry.is_taken else "",
                *(entry.study_date, entry.modality, entry.description, str(entry.images)),
                *(_numbers(entry.shape, 0), _numbers(entry.spacing_mm, 2), _numbers(entry.extent_mm, 0)),
                entry.contrast or "-",
            ]
            for entry in entries
        ]
        print_table(header, rows)
        for entry in entries:
            print(f"{'*' if entry.is_taken else ' '} {entry.series_uid}: {entry.why}")
        return 0


def _numbers(values: Sequence[float | int] | None, digits: int) -> str:
    """Numbers from columns to slices."""
    return "-" if values is None else " x ".join(f"{value:.{digits}f}" for value in reversed(values))
