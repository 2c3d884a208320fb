"""`samereg convert`: flags and output."""

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
class Convert:
    """Write a transform in another tool's format.

    The file is read back and compared: if it differs by more than the tolerance, the exit code is 10.
    Formats: itk (.h5, .tfm; .mat and .txt for affine maps), field (vectors in .nii.gz, .mha, .nrrd), nifti-1006, ants
    (a prefix, or one of its files), elastix, greedy, niftyreg, learn2reg, fsl (FLIRT matrices), dicom (.dcm, between
    two DICOM folders).
    """

    transform: TransformFile
    """Input transform file."""

    output: OutputFile
    """Output file; for ants a prefix."""

    formats: TransformFormatFlags = field(default_factory=TransformFormats)

    images: TransformImageFlags = field(default_factory=TransformImages)

    tolerance: Annotated[float, arg(metavar="MM")] = 0.05
    """Maximum difference in mm."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Convert, print the loss, return the exit code."""
        from samereg.app.spaces import read_spaces
        from samereg.app.transforms import convert_file
        from samereg.cli.console import naming_flags, start_logging
        from samereg.cli.written import chosen_formats, print_written

        start_logging(self.messages)
        with naming_flags(format="--from FORMAT", target="--to FORMAT", fixed="-f FIXED", moving="-m MOVING"):
            record = convert_file(
                self.transform,
                self.output,
                formats=chosen_formats(self.formats),
                spaces=read_spaces(self.images.fixed, self.images.moving),
                tolerance_mm=self.tolerance,
                overwrite=self.overwrite,
            )
        print_written(record, f"{self.transform} as {record.target}", json=self.messages.json)
        return record.exit_status
