"""`samereg compose`: flags, and what it prints."""

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
    """Write the transform that applies several, one after another.

    Transforms map fixed points to moving points: with --first A-to-B and --then B-to-C, a point of A ends in C, and an
    image of C can be resampled onto the grid of A.
    """

    first: Annotated[Path, arg(metavar="FILE")]
    """Transform applied to a point first."""

    then: Annotated[tuple[Path, ...], arg(metavar="FILE [FILE ...]")]
    """What is applied to the result, one after another."""

    output: OutputFile
    """File to write."""

    target: TargetFormat = "auto"
    """Format of the output, if its name does not tell; see `samereg convert`."""

    images: TransformImageFlags = field(default_factory=TransformImages)

    tolerance: Annotated[float, arg(metavar="MM")] = 0.05
    """Largest difference between the file and the transforms one after another that passes."""

    overwrite: bool = False
    """Replace the output if it exists."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Compose, say what was lost, return the exit code."""
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
