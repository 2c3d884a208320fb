"""`samereg invert`: flags and output."""

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

    Points are mapped there and back: if the error exceeds the tolerance for more than 1 % of them, the exit
    code is 10.
    """

    transform: TransformFile
    """Transform file, fixed to moving."""

    output: OutputFile
    """File to write."""

    formats: TransformFormatFlags = field(default_factory=TransformFormats)

    images: TransformImageFlags = field(default_factory=TransformImages)

    tolerance: Annotated[float, arg(metavar="MM")] = 0.5
    """Maximum inverse consistency error in mm of 99 % of the points."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Invert, print the error, return the exit code."""
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
