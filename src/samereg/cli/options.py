"""Flags that several commands share. Imports nothing heavy: `--help` has to answer before torch is loaded."""

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
    """What a command says, and how."""

    json: bool = False
    """Print the result as JSON."""

    quiet: Annotated[bool, arg(aliases=["-q"])] = False
    """Log errors only, and show no progress."""

    verbose: Annotated[bool, arg(aliases=["-v"])] = False
    """Log every step, and show where an error came from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a command computes on."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto takes the first NVIDIA GPU if there is one."""

    threads: int = 0
    """CPU threads; 0 takes as many as there are cores."""

    seed: int = 0
    """Decides everything random: one seed, one result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformImages:
    """The images that a transform belongs to."""

    fixed: FixedImage = None
    """Fixed image of the transform: fields are written on its grid; needed for learn2reg, fsl and dicom."""

    moving: MovingImage = None
    """Moving image of the transform: inverse fields are written on its grid; needed for learn2reg, fsl
    and dicom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformFormats:
    """What a transform is read and written as."""

    source: SourceFormat = "auto"
    """Format of the input, if the file does not tell."""

    target: TargetFormat = "auto"
    """Format of the output; auto goes by its name: .h5 .tfm itk, .nii.gz .mha .nrrd field, .npz learn2reg, .dcm
    dicom."""


MessageFlags = Annotated[Messages, arg(name="")]
TransformImageFlags = Annotated[TransformImages, arg(name="")]
TransformFormatFlags = Annotated[TransformFormats, arg(name="")]
MachineFlags = Annotated[Machine, arg(name="")]
