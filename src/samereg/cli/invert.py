"""`samereg invert`: flags, and what it prints."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.cli.options import (
    MessageFlags,
    Messages,
    OutputFile,
    TransformFile,
    TransformFormatFlags,
    TransformFormats,
    TransformImageFlags,
    TransformImages,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Invert:
    """Write the inverse of a transform: moving to fixed.

    Points are sent there and back: where one in a hundred ends more than the tolerance from where it began, the exit
    code is 10.
    """

    transform: TransformFile
    """Transform file, fixed to moving."""

    output: OutputFile
    """File to write."""

    formats: TransformFormatFlags = field(default_factory=TransformFormats)

    images: TransformImageFlags = field(default_factory=TransformImages)

    tolerance: Annotated[float, arg(metavar="MM")] = 0.5
    """Farthest that 99 of 100 points may be from where they began."""

    overwrite: bool = False
    """Replace the output if it exists."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Invert, say how well, return the exit code."""
        from samereg.app.spaces import read_spaces
        from samereg.app.transforms import invert_file
        from samereg.cli.console import naming_flags, start_logging
        from samereg.cli.written import chosen_formats, print_written

        start_logging(self.messages)
        with naming_flags(format="--from FORMAT", target="--to FORMAT", fixed="-f FIXED", moving="-m MOVING"):
            record = invert_file(
                self.transform,
                self.output,
                formats=chosen_formats(self.formats),
                spaces=read_spaces(self.images.fixed, self.images.moving),
                tolerance_mm=self.tolerance,
                overwrite=self.overwrite,
            )
        print_written(record, f"inverse of {self.transform}, there and back", json=self.messages.json)
        return record.exit_status
