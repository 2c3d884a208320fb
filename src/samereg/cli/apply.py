"""`samereg apply`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.app.settings import OptionalPath, TransformFormatOrAuto
from samereg.cli.options import MessageFlags, Messages, MovingImage, OutputFile, TransformFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Resample images and label maps through a transform.

    A transform maps points of the fixed scan to points of the moving scan: transform.h5 resamples images of the
    moving space onto a grid of the fixed space, inverse.h5 the reverse. Outputs keep the data type and the
    descriptive header entries of their inputs. 4-D and vector images are resampled channel by channel. A DICOM SEG,
    RTSTRUCT or RTDOSE is written as one on the reference's slices.
    """

    transform: TransformFile
    """Transform file of any format that `samereg convert` reads."""

    input: Annotated[tuple[Path, ...], arg(aliases=["-i"], metavar="FILE [FILE ...]")]
    """Images or label maps to resample."""

    output: OutputFile
    """Output file: NIfTI, NRRD, MetaImage or a DICOM object, by its suffix; for several inputs a folder."""

    reference: Annotated[OptionalPath, arg(aliases=["-r"], metavar="FILE")] = None
    """Image that defines the output grid."""

    spacing: Annotated[tuple[float, ...], arg(metavar="MM [MM MM]")] = ()
    """Output spacing over the reference's box: one number, or three (slices, rows, columns). Without a reference,
    over the box of the transform's field."""

    interpolation: Literal["auto", "linear", "cubic", "sinc", "nearest", "label-linear"] = "auto"
    """auto: nearest for label maps (piecewise constant whole numbers), linear otherwise.
    cubic and sinc preserve detail but overshoot at edges. label-linear: linear per label, then the maximum;
    smoother edges than nearest."""

    modulate: bool = False
    """Multiply by the Jacobian determinant to preserve mass (for a CT, of HU + 1000)."""

    transform_format: TransformFormatOrAuto = "auto"
    """Format of the transform file, if it cannot be detected."""

    to: Literal["auto", "image", "seg", "rtstruct"] = "auto"
    """What labels are written as: an image, a DICOM SEG, or an RTSTRUCT on the slices of the reference, a DICOM folder.
    auto: as the input, or an image where the output is called so."""

    moving: MovingImage = None
    """Moving image of the transform, for formats in voxels of both images (Learn2Reg, FLIRT); the inputs by default."""

    overwrite: bool = False
    """Overwrite existing outputs."""

    threads: int = 0
    """CPU threads; 0 uses all cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Resample, print a summary, return the exit code."""
        from samereg.app.machine import prepare_machine
        from samereg.app.plain import to_plain
        from samereg.app.resampling import ApplySettings, apply_files
        from samereg.app.settings import MachineSettings
        from samereg.cli.console import naming_flags, print_facts, print_json, start_logging, warn

        start_logging(self.messages)
        prepare_machine(MachineSettings(device="cpu", threads=self.threads), seed=0)
        settings = ApplySettings(
            reference=self.reference,
            spacing_mm=self.spacing,
            interpolation=self.interpolation,
            modulate=self.modulate,
            transform_format=None if self.transform_format == "auto" else self.transform_format,
            moving=self.moving,
            to=self.to,
        )
        with naming_flags(
            format="--transform-format FORMAT", fixed="-r FIXED", moving="-m MOVING", object="--to seg or --to rtstruct"
        ):
            records = apply_files(self.transform, self.input, self.output, settings=settings, overwrite=self.overwrite)
        for record in records:
            if record.lost_labels:
                lost = ", ".join(map(str, record.lost_labels))
                warn(f"{record.input.path}: labels missing in the output: {lost}")
        if self.messages.json:
            print_json(to_plain(records[0] if len(records) == 1 else records))
            return 0
        for record in records:
            facts = {"interpolation": record.interpolation, "written": str(record.output)}
            print_facts(f"{record.input.path} through {self.transform}", facts)
        return 0
