"""`samereg jacobian`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import TransformFormatOrAuto
from samereg.cli.options import MessageFlags, Messages, MovingImage, OutputFile, TransformFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Jacobian:
    """Write the Jacobian determinant of a transform as an image.

    1 where volume is preserved, larger where the moving anatomy is larger, 0 or less where the map folds: then the exit
    code is 10. `samereg apply --modulate` multiplies intensities by it.
    """

    transform: TransformFile
    """Transform file."""

    reference: Annotated[Path, arg(aliases=["-r"], metavar="FILE")]
    """Image in the fixed space that defines the output grid."""

    output: OutputFile
    """Output image: NIfTI, NRRD or MetaImage, by its suffix."""

    moving: MovingImage = None
    """Moving image of the transform, for formats in voxels of both images (Learn2Reg, FLIRT)."""

    log: bool = False
    """Write the natural logarithm: 0 where volume is preserved."""

    transform_format: TransformFormatOrAuto = "auto"
    """Format of the transform file, if it cannot be detected."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Write the map, print its range, return the exit code."""
        from samereg.app.jacobian import JacobianSettings, write_jacobian
        from samereg.app.plain import to_plain
        from samereg.cli.console import naming_flags, print_facts, print_json, start_logging, warn

        start_logging(self.messages)
        settings = JacobianSettings(
            logarithm=self.log,
            transform_format=None if self.transform_format == "auto" else self.transform_format,
            moving=self.moving,
        )
        with naming_flags(format="--transform-format FORMAT", fixed="-r FIXED", moving="-m MOVING"):
            record = write_jacobian(
                self.transform,
                self.reference,
                self.output,
                settings=settings,
                overwrite=self.overwrite,
            )
        if record.folded_fraction:
            warn(f"the transform folds {100 * record.folded_fraction:.3f} % of the voxels")
        if self.messages.json:
            print_json(to_plain(record))
        else:
            facts = {
                "determinant": f"{record.smallest:.3f} to {record.largest:.3f}, mean {record.mean:.3f}",
                "folded": f"{100 * record.folded_fraction:.3f} % of the voxels",
                "written": str(record.output),
            }
            print_facts(f"Jacobian determinant of {self.transform}", facts)
        return record.exit_status
