"""`samereg invert`: flags, and what it prints."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.cli.options import (
    FixedImage,
    MessageFlags,
    Messages,
    MovingImage,
    OutputFile,
    SourceFormat,
    TargetFormat,
    TransformFile,
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

    source: SourceFormat = "auto"
    """Format of the input, if the file does not tell."""

    target: TargetFormat = "auto"
    """Format of the output, if its name does not tell; see `samereg convert`."""

    fixed: FixedImage = None
    """The transform's fixed image, for formats that need it."""

    moving: MovingImage = None
    """Its moving image: the inverse, if it has to be one field, is written on that grid."""

    tolerance: Annotated[float, arg(metavar="MM")] = 0.5
    """Farthest that 99 of 100 points may be from where they began."""

    overwrite: bool = False
    """Replace the output if it exists."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Invert, say how well, return the exit code."""
        from samereg.app.spaces import read_spaces
        from samereg.app.transforms import Formats, invert_file
        from samereg.cli.console import start_logging
        from samereg.cli.written import print_written

        start_logging(self.messages)
        record = invert_file(
            self.transform,
            self.output,
            formats=Formats(
                source=None if self.source == "auto" else self.source,
                target=None if self.target == "auto" else self.target,
            ),
            spaces=read_spaces(self.fixed, self.moving),
            tolerance_mm=self.tolerance,
            overwrite=self.overwrite,
        )
        print_written(record, f"inverse of {self.transform}, there and back", json=self.messages.json)
        return record.exit_status
