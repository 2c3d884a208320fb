"""`samereg fuse`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import FuseSettings
from samereg.cli.options import MessageFlags, Messages, OutputFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Fuse:
    """Label a scan by labelled scans of other subjects.

    Registers every atlas with the target, carries its labels over and fuses them. Writes the label map and, beside it,
    NAME_agreement (share of the votes that the label got at each voxel) and NAME_volumes.csv (volume of each label, and
    the smallest and largest that a single atlas gives).
    """

    target: Annotated[Path, arg(metavar="CT")]
    """Scan to label."""

    atlases: Annotated[Path, arg(metavar="CSV")]
    """Table with the columns image and labels, paths relative to it."""

    output: OutputFile
    """Label map to write: NIfTI, NRRD or MetaImage, by its name."""

    settings: Annotated[FuseSettings, arg(name="")] = field(default_factory=FuseSettings)

    overwrite: bool = False
    """Replace outputs that exist."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Register, fuse, print volumes, return the exit code."""
        from samereg.app.fusion import VOLUME_COLUMNS, fuse_files, read_atlases, volume_row
        from samereg.app.plain import to_plain
        from samereg.cli.console import print_facts, print_json, print_table, progress, start_logging

        start_logging(self.messages)
        atlases = read_atlases(self.atlases, self.target)
        with progress(self.messages) as on_progress:
            record = fuse_files(
                self.target,
                atlases,
                self.output,
                settings=self.settings,
                overwrite=self.overwrite,
                on_progress=on_progress,
            )
        if self.messages.json:
            print_json(to_plain(record))
            return 0
        print_table(VOLUME_COLUMNS, [volume_row(each) for each in record.volumes])
        facts = {
            "atlases": f"{record.atlases} voted, {len(record.left_out)} left out",
            "written": " ".join(map(str, record.files)),
        }
        print_facts(str(self.target), facts)
        return 0
