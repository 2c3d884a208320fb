"""`samereg convert`: flags, and what it prints."""

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
class Convert:
    """Write a transform in another tool's format.

    The file is read back and compared: where it takes points more than the tolerance elsewhere, the exit code is 10.
    Formats: itk (.h5, .tfm; .mat and .txt for affine maps), field (vectors in .nii.gz, .mha, .nrrd), nifti-1006, ants
    (a prefix, or one of its files), elastix, greedy, niftyreg, learn2reg, fsl (matrices of FLIRT).
    """

    transform: TransformFile
    """Transform file to read."""

    output: OutputFile
    """File to write; for ants a prefix."""

    source: SourceFormat = "auto"
    """Format of the input, if the file does not tell."""

    target: TargetFormat = "auto"
    """Format of the output; auto goes by its name: .h5 .tfm itk, .nii.gz .mha .nrrd field, .npz learn2reg."""

    fixed: FixedImage = None
    """Fixed image: fields are written on its grid; needed for learn2reg and fsl."""

    moving: MovingImage = None
    """Moving image: needed for learn2reg and fsl."""

    tolerance: Annotated[float, arg(metavar="MM")] = 0.05
    """Largest difference that passes."""

    overwrite: bool = False
    """Replace the output if it exists."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Convert, say what was lost, return the exit code."""
        from samereg.app.spaces import read_spaces
        from samereg.app.transforms import Formats, convert_file
        from samereg.cli.console import start_logging
        from samereg.cli.written import print_written

        start_logging(self.messages)
        record = convert_file(
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
        print_written(record, f"{self.transform} as {record.target}", json=self.messages.json)
        return record.exit_status
