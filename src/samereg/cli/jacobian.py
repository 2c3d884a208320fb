"""`samereg jacobian`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import TransformFormatOrAuto
from samereg.cli.options import MessageFlags, Messages, MovingImage, OutputFile, TransformFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Jacobian:
    """Write the local change of volume of a transform as an image.

    1 where volume is kept, above where the moving anatomy is larger, at most 0 where the map folds; then the exit code
    is 10. `samereg apply --modulate` multiplies intensities by it.
    """

    transform: TransformFile
    """Transform file."""

    reference: Annotated[Path, arg(aliases=["-r"], metavar="FILE")]
    """Image whose grid the output takes, in the fixed space."""

    output: OutputFile
    """Image to write: NIfTI, NRRD or MetaImage, by its name."""

    moving: MovingImage = None
    """Moving image of the transform, for formats in voxels of both (Learn2Reg, FLIRT)."""

    log: bool = False
    """Write the natural logarithm: 0 where volume is kept."""

    transform_format: TransformFormatOrAuto = "auto"
    """What the transform file is, if it does not tell."""

    overwrite: bool = False
    """Replace the output if it exists."""

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
            print_facts(f"change of volume by {self.transform}", facts)
        return record.exit_status
