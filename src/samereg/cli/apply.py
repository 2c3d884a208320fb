"""`samereg apply`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.cli.options import MessageFlags, Messages, OutputFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Resample an image or a label map through a transform.

    A transform maps points of the fixed scan to points of the moving scan: transform.h5 carries images of the
    moving space onto a grid of the fixed space, inverse.h5 the other way round. The output keeps the input's
    data type.
    """

    transform: Annotated[Path, arg(aliases=["-t"], metavar="FILE")]
    """Transform file: ITK .h5 or .tfm, or a displacement field image."""

    input: Annotated[Path, arg(aliases=["-i"], metavar="FILE")]
    """Image or label map to resample."""

    reference: Annotated[Path, arg(aliases=["-r"], metavar="FILE")]
    """Image whose grid the output takes."""

    output: OutputFile
    """Image to write: NIfTI, NRRD or MetaImage, by its name."""

    interpolation: Literal["auto", "linear", "nearest", "label-linear"] = "auto"
    """auto: nearest for label maps (integers, none negative, at most 256 different), linear for the rest.
    label-linear: linear for each label, the strongest wins; smoother edges than nearest."""

    overwrite: bool = False
    """Replace the output if it exists."""

    threads: int = 0
    """CPU threads; 0 takes as many as there are cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Resample, say what was done, return the exit code."""
        from samereg.app.machine import MachineSettings, prepare_machine
        from samereg.app.record import to_plain
        from samereg.app.resampling import apply_file
        from samereg.cli.console import print_facts, print_json, start_logging, warn

        start_logging(self.messages)
        prepare_machine(MachineSettings(device="cpu", threads=self.threads), seed=0)
        record = apply_file(
            self.transform,
            self.input,
            self.output,
            reference_path=self.reference,
            interpolation=self.interpolation,
            overwrite=self.overwrite,
        )
        if record.lost_labels:
            warn("labels lost because no output voxel has them: " + ", ".join(map(str, record.lost_labels)))
        if self.messages.json:
            print_json(to_plain(record))
        else:
            facts = {"interpolation": record.interpolation, "written": str(record.output)}
            print_facts(f"{self.input} through {self.transform}", facts)
        return 0
