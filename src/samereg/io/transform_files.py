"""Transforms from and to files of every tool; one entry for each format of `transform_formats`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samereg.errors import FileError, TransformError, UsageError
from samereg.geometry.transform import Transform
from samereg.io.nifti import read_nifti_header
from samereg.io.stored import naming
from samereg.io.transform_formats.ants import files_of, read_ants, write_ants
from samereg.io.transform_formats.elastix import read_elastix, write_elastix
from samereg.io.transform_formats.fsl import read_fsl, write_fsl
from samereg.io.transform_formats.greedy import read_greedy, write_greedy
from samereg.io.transform_formats.itk import write_itk_file
from samereg.io.transform_formats.learn2reg import read_learn2reg, write_learn2reg
from samereg.io.transform_formats.nifti_ras import read_nifti_ras, write_nifti_ras
from samereg.io.transform_formats.niftyreg import INTENT_NAME, read_niftyreg, write_niftyreg
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

TransformFormatName = Literal["itk", "field", "nifti-1006", "ants", "elastix", "greedy", "niftyreg", "learn2reg", "fsl"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformFormat:
    """One format of transform files.

    Attributes:
        frame: axes of its numbers.
        units: of its numbers.
        direction: which points it maps where, in the words of its tool.
        read: transform of a file, fixed world to moving world, LPS+ mm.
        write: writes one; returns the files that it wrote.
    """

    frame: str
    units: str
    direction: str
    read: Callable[[Path, Spaces], Transform]
    write: Callable[[Transform, Path, Spaces], tuple[Path, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """What a file was taken for.

    Attributes:
        format: name of the format.
        certain: whether the file itself says so; otherwise other tools' files look the same.
        why: what it was told by, and what else it could be.
    """

    format: TransformFormatName
    certain: bool
    why: str


def _read_itk(path: Path, _: Spaces) -> Transform:
    return read_transform(path)


_FIXED_TO_MOVING = "fixed to moving (pull-back)"

TRANSFORM_FORMATS: dict[TransformFormatName, TransformFormat] = {
    "itk": TransformFormat(frame="LPS", units="mm", direction=_FIXED_TO_MOVING, read=_read_itk, write=write_itk_file),
    "field": TransformFormat(
        frame="LPS", units="mm", direction=_FIXED_TO_MOVING, read=_read_itk, write=write_vector_image
    ),
    "nifti-1006": TransformFormat(
        frame="RAS", units="mm", direction=_FIXED_TO_MOVING, read=read_nifti_ras, write=write_nifti_ras
    ),
    "ants": TransformFormat(frame="LPS", units="mm", direction=_FIXED_TO_MOVING, read=read_ants, write=write_ants),
    "elastix": TransformFormat(
        frame="LPS", units="mm", direction=_FIXED_TO_MOVING, read=read_elastix, write=write_elastix
    ),
    "greedy": TransformFormat(
        frame="RAS for matrices, LPS for warps",
        units="mm",
        direction=_FIXED_TO_MOVING,
        read=read_greedy,
        write=write_greedy,
    ),
    "niftyreg": TransformFormat(
        frame="RAS, positions instead of displacements in fields",
        units="mm",
        direction="reference to floating, which is " + _FIXED_TO_MOVING,
        read=read_niftyreg,
        write=write_niftyreg,
    ),
    "learn2reg": TransformFormat(
        frame="axes of the image as stored in NIfTI",
        units="voxels of the two images",
        direction=_FIXED_TO_MOVING,
        read=read_learn2reg,
        write=write_learn2reg,
    ),
    "fsl": TransformFormat(
        frame="voxel axes, x reversed for right-handed images",
        units="mm",
        direction="moving to fixed (input to reference); turned round when read",
        read=read_fsl,
        write=write_fsl,
    ),
}

_NIFTI = (".nii", ".nii.gz")
_IMAGES = (".mha", ".mhd", ".nrrd", ".nhdr")
_BY_OUTPUT: dict[str, TransformFormatName] = {
    ".h5": "itk",
    ".hdf5": "itk",
    ".tfm": "itk",
    ".mha": "field",
    ".nrrd": "field",
    ".nii": "field",
    ".nii.gz": "field",
    ".npz": "learn2reg",
}
_SAY_WHICH = (
    "name the format with --from, or --transform-format of apply, --init-format of register, --format of evaluate"
)
_FNIRT_INTENTS = (2006, 2007, 2008, 2009)
_MATLAB_HEADER = 20
"""Bytes before the name of the first matrix in the files that ITK writes."""


def read_transform_file(path: Path, *, format: TransformFormatName | None = None, spaces: Spaces) -> Transform:
    """Transform of a file of any known tool: fixed world to moving world, LPS+ mm.

    Args:
        path: the file; for ANTs also the prefix of its two files.
        format: name of the format; None tells it from the file.
        spaces: grids of the two images, for formats in voxels.

    Raises:
        UsageError: the format cannot be told, or an image that it needs is not given.
        FileError: missing, damaged, or of no known format.
        TransformError: a transform that cannot be used.
    """
    chosen = recognise_transform(path).format if format is None else format
    with naming(path):
        return TRANSFORM_FORMATS[chosen].read(path, spaces)


def write_transform_file(
    transform: Transform,
    path: Path,
    *,
    format: TransformFormatName | None = None,
    spaces: Spaces,
) -> tuple[Path, ...]:
    """Write a transform in a format, by default the one that the name asks for; the files written are returned.

    Raises:
        UsageError: the name does not tell the format, or an image that it needs is not given.
        TransformError: a format that cannot hold the transform.
        FileError: the file cannot be written.
    """
    chosen = format_by_name(path) if format is None else format
    return TRANSFORM_FORMATS[chosen].write(transform, path, spaces)


def format_by_name(path: Path) -> TransformFormatName:
    """Format that the name of an output asks for.

    Raises:
        UsageError: several formats share such a name.
    """
    lowered = path.name.lower()
    fitting = [name for suffix, name in _BY_OUTPUT.items() if lowered.endswith(suffix)]
    if not fitting:
        known = ", ".join(TRANSFORM_FORMATS)
        raise UsageError(f"{path}: its name does not tell the format; name it with --to: {known}.")
    return fitting[-1]


def recognise_transform(path: Path) -> Recognised:
    """What a file is, by its content where that tells.

    Raises:
        FileError: missing, empty, or of no known format.
        UsageError: formats that cannot be told apart.
    """
    if not path.is_file():
        affine, warp = files_of(path)
        if affine.is_file() or warp.is_file():
            return Recognised(format="ants", certain=True, why="a prefix of two files of ANTs")
    if not path.is_file() or path.stat().st_size == 0:
        raise FileError(f"{path}: is missing or empty; need a transform file.")
    lowered = path.name.lower()
    if lowered.endswith(_NIFTI):
        return _recognise_nifti(path)
    if lowered.endswith(_IMAGES):
        return Recognised(format="field", certain=True, why="an image of vectors, which ITK reads as LPS mm")
    if lowered.endswith(".npz"):
        return Recognised(format="learn2reg", certain=True, why="the .npz of the Learn2Reg challenge")
    if lowered.endswith((".h5", ".hdf5", ".tfm")):
        return Recognised(format="itk", certain=True, why="a transform file of ITK")
    return _recognise_text(path)


def _recognise_nifti(path: Path) -> Recognised:
    header = read_nifti_header(path)
    sizes, intent = header.get_data_shape(), int(header["intent_code"])
    words = header["intent_name"].item().decode("ascii", "replace").strip("\0 ")
    if words == INTENT_NAME:
        return Recognised(format="niftyreg", certain=True, why="its header names NREG_TRANS")
    if intent == 1006 and len(sizes) == 5:
        return Recognised(format="nifti-1006", certain=True, why="5-D with intent 1006, displacement vectors")
    if len(sizes) == 5 and sizes[3:] == (1, 3):
        return Recognised(
            format="field",
            certain=intent == 1007,
            why=f"5-D with intent {intent}, as ITK, ANTs and greedy write; the direction is by their convention",
        )
    if intent in _FNIRT_INTENTS:
        return Recognised(format="fsl", certain=True, why="its intent is one of FNIRT's")
    if len(sizes) == 4 and sizes[3] == 3:
        raise UsageError(
            f"{path}: is 4-D with three numbers per voxel, which Learn2Reg (voxels) and FSL (mm) both write; "
            f"{_SAY_WHICH}."
        )
    raise TransformError(f"{path}: is no field: {' x '.join(map(str, sizes))} numbers; need three for each voxel.")


def _recognise_text(path: Path) -> Recognised:
    content = path.read_bytes()[:65536]
    if content.startswith(b"#Insight Transform File"):
        return Recognised(format="itk", certain=True, why="it begins as text files of ITK do")
    if b"(Transform " in content:
        return Recognised(format="elastix", certain=True, why="it has an entry (Transform ...)")
    if b"AffineTransform" in content[_MATLAB_HEADER : _MATLAB_HEADER + 60] or b"_double_3_3" in content:
        return Recognised(format="itk", certain=True, why="a Matlab file as ITK and ANTs write")
    if _is_matrix(content):
        raise UsageError(
            f"{path}: holds sixteen numbers, which greedy and NiftyReg (RAS, fixed to moving) and FLIRT (moving to "
            f"fixed) all write; {_SAY_WHICH}."
        )
    if path.suffix.lower() in (".txt", ".mat"):
        return Recognised(format="itk", certain=False, why="its name; its content was not recognised")
    raise FileError(f"{path}: is of no known transform format; need one of {', '.join(TRANSFORM_FORMATS)}.")


def _is_matrix(content: bytes) -> bool:
    try:
        return len([float(word) for word in content.split()]) == 16
    except ValueError:
        return False
