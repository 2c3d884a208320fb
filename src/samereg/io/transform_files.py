"""Reading and writing of transforms in all formats: the registry of formats, and their common functions."""

from collections.abc import Sequence
from pathlib import Path

from samereg.errors import FileError, UnspecifiedError
from samereg.geometry.transform import Transform
from samereg.io.formats import BY_CERTAINTY, Recognised, has_suffix, stem_of, suffix_of
from samereg.io.stored import naming
from samereg.io.transform_formats.ants import ANTS
from samereg.io.transform_formats.dicom import DICOM
from samereg.io.transform_formats.elastix import ELASTIX
from samereg.io.transform_formats.format import Found, TransformFormat
from samereg.io.transform_formats.fsl import FSL
from samereg.io.transform_formats.greedy import GREEDY
from samereg.io.transform_formats.itk import ITK
from samereg.io.transform_formats.learn2reg import LEARN2REG
from samereg.io.transform_formats.nifti_ras import NIFTI_RAS
from samereg.io.transform_formats.niftyreg import NIFTYREG
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transform_formats.vector_images import FIELD

FORMATS: tuple[TransformFormat, ...] = (
    ITK,
    NIFTI_RAS,
    NIFTYREG,  # before the fields: its header has their intent, and a name
    FIELD,
    ANTS,
    ELASTIX,
    GREEDY,
    LEARN2REG,
    FSL,
    DICOM,
)
"""In order of precedence among formats that recognise a file with equal certainty."""

TRANSFORM_FORMATS: dict[str, TransformFormat] = {each.name: each for each in FORMATS}

TRANSFORM_SUFFIXES = tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))
"""Suffixes of transform files of all formats."""


def read_transform_file(path: Path, *, format: str | None = None, spaces: Spaces) -> Transform:
    """Reads a transform file of any supported tool: fixed world to moving world, LPS+ mm.

    Args:
        path: the file; for some formats also a prefix of several.
        format: name of the format; None to detect it.
        spaces: grids of the two images, for formats in voxels.

    Raises:
        UnspecifiedError: the format cannot be detected, or a required image is not given.
        FileError: missing, damaged, or an unknown format.
        TransformError: an invalid transform.
    """
    chosen = recognise_transform(path).format if format is None else format
    with naming(path):
        return TRANSFORM_FORMATS[chosen].read(path, spaces)


def write_transform_file(
    transform: Transform, path: Path, *, format: str | None = None, spaces: Spaces
) -> tuple[Path, ...]:
    """Writes a transform in a format, by default the one of the suffix, and returns the files written.

    Raises:
        UnspecifiedError: the suffix is ambiguous, or a required image is not given.
        TransformError: a format that cannot hold the transform.
        FileError: the file cannot be written.
    """
    chosen = format_by_name(path) if format is None else format
    return TRANSFORM_FORMATS[chosen].write(transform, path, spaces)


def format_by_name(path: Path) -> str:
    """Format of an output, by its suffix.

    Raises:
        UnspecifiedError: the suffix is ambiguous or unknown.
    """
    asked_for = {suffix: each.name for each in FORMATS for suffix in each.written}
    suffix = suffix_of(path, asked_for)
    if not suffix:
        known = ", ".join(TRANSFORM_FORMATS)
        raise UnspecifiedError(f"{path}: its suffix does not determine the format; give one of {known}.", what="target")
    return asked_for[suffix]


def recognise_transform(path: Path, *, formats: Sequence[TransformFormat] = FORMATS) -> Recognised:
    """Recognises the format of a file, by content if possible: the most certain answer of all formats.

    Raises:
        FileError: missing, empty, or an unknown format.
        UnspecifiedError: formats that cannot be distinguished.
    """
    is_whole = path.is_file() and path.stat().st_size > 0
    answers = [each.recognise(path) for each in formats if is_whole or each.is_prefix]
    for certainty in BY_CERTAINTY:
        found = [answer for answer in answers if answer is not None and answer.certainty == certainty]
        if len(found) > 1 and certainty != "declared":
            raise UnspecifiedError(_alike(path, found, formats), what="format")
        if found:
            return found[0]
    if not is_whole:
        raise FileError(f"{path}: is missing or empty; need a transform file.")
    raise FileError(_unknown(path, formats))


def gather_transforms(files: Sequence[Path]) -> tuple[Found, ...]:
    """Transforms among the files of a folder; some formats use several files for one."""
    found: list[Found] = []
    left = list(files)
    for each in FORMATS:
        gathered = each.gather(left)
        found += gathered.found
        used = {path for one in gathered.found for path in one.files} | set(gathered.skipped)
        left = [path for path in left if path not in used]
    return (*found, *(Found(stem=stem_of(path, TRANSFORM_SUFFIXES), files=(path,)) for path in left))


def _alike(path: Path, found: Sequence[Recognised], formats: Sequence[TransformFormat]) -> str:
    names = {answer.format for answer in found}
    described = [
        f"{each.name} ({each.frame}, {each.units}, {each.direction})" for each in formats if each.name in names
    ]
    return f"{path}: {found[0].why}, which {', '.join(described[:-1])} and {described[-1]} all write; give the format."


def _unknown(path: Path, formats: Sequence[TransformFormat]) -> str:
    fitting = [each for each in formats if has_suffix(path, each.suffixes)] or formats
    described = "; ".join(f"{each.name}: {each.holds}" for each in fitting)
    return f"{path}: has an unknown transform format; need one of {described}."
