"""Flags shared by several commands. Imports nothing heavy, so that `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import OptionalPath, TransformFormatOrAuto

FixedScan = Annotated[Path, arg(aliases=["-f"], metavar="CT")]
MovingScan = Annotated[Path, arg(aliases=["-m"], metavar="CT")]
OutputFolder = Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
OutputFile = Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
TransformFile = Annotated[Path, arg(aliases=["-t"], metavar="FILE")]
FixedImage = Annotated[OptionalPath, arg(aliases=["-f"], metavar="IMAGE")]
MovingImage = Annotated[OptionalPath, arg(aliases=["-m"], metavar="IMAGE")]
SourceFormat = Annotated[TransformFormatOrAuto, arg(name="from", metavar="FORMAT")]
TargetFormat = Annotated[TransformFormatOrAuto, arg(name="to", metavar="FORMAT")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Messages:
    """Output of a command."""

    json: bool = False
    """Print the result as JSON."""

    quiet: Annotated[bool, arg(aliases=["-q"])] = False
    """Log only errors, and show no progress."""

    verbose: Annotated[bool, arg(aliases=["-v"])] = False
    """Log every step, and show tracebacks of errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Device, threads and seed."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto uses the first NVIDIA GPU if there is one."""

    threads: int = 0
    """CPU threads; 0 uses all cores."""

    seed: int = 0
    """Seed of all random numbers: the same seed gives the same result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformImages:
    """Images of a transform."""

    fixed: FixedImage = None
    """Fixed image of the transform: fields are written on its grid; needed for learn2reg, fsl and dicom."""

    moving: MovingImage = None
    """Moving image of the transform: inverse fields are written on its grid; needed for learn2reg, fsl
    and dicom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformFormats:
    """Input and output format of a transform."""

    source: SourceFormat = "auto"
    """Input format, if it cannot be detected."""

    target: TargetFormat = "auto"
    """Output format; auto uses the suffix: .h5 .tfm itk, .nii.gz .mha .nrrd field, .npz learn2reg, .dcm
    dicom."""


MessageFlags = Annotated[Messages, arg(name="")]
TransformImageFlags = Annotated[TransformImages, arg(name="")]
TransformFormatFlags = Annotated[TransformFormats, arg(name="")]
MachineFlags = Annotated[Machine, arg(name="")]
