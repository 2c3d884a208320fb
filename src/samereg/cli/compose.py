"""`samereg compose`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.cli.options import (
    MessageFlags,
    Messages,
    OutputFile,
    TargetFormat,
    TransformImageFlags,
    TransformImages,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """Compose several transforms into one.

    Transforms map fixed points to moving points: with --first A-to-B and --then B-to-C, a point of A ends in C, and an
    image of C can be resampled onto the grid of A.
    """

    first: Annotated[Path, arg(metavar="FILE")]
    """Transform applied first."""

    then: Annotated[tuple[Path, ...], arg(metavar="FILE [FILE ...]")]
    """Transforms applied after it, in order."""

    output: OutputFile
    """File to write."""

    target: TargetFormat = "auto"
    """Output format, if its suffix is ambiguous; see `samereg convert`."""

    images: TransformImageFlags = field(default_factory=TransformImages)

    tolerance: Annotated[float, arg(metavar="MM")] = 0.05
    """Maximum difference in mm between the file and the composed transforms."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Compose, print the loss, return the exit code."""
        from samereg.app.spaces import read_spaces
        from samereg.app.transforms import compose_files
        from samereg.cli.console import naming_flags, start_logging
        from samereg.cli.written import format_or_none, print_written

        start_logging(self.messages)
        with naming_flags(
            target="--to FORMAT", fixed="-f FIXED", format="a copy that `samereg convert --from FORMAT --to itk` writes"
        ):
            record = compose_files(
                (self.first, *self.then),
                self.output,
                target=format_or_none(self.target),
                spaces=read_spaces(self.images.fixed, self.images.moving),
                tolerance_mm=self.tolerance,
                overwrite=self.overwrite,
            )
        print_written(record, f"{self.first}, then {', '.join(map(str, self.then))}", json=self.messages.json)
        return record.exit_status
