"""Transforms from and to files of every tool: the list of formats, and what is asked of all of them."""

from collections.abc import Sequence
from pathlib import Path

from samereg.errors import FileError, UnspecifiedError
from samereg.geometry.transform import Transform
from samereg.io.formats import RANKED, Recognised, has_suffix, stem_of, suffix_of
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
"""Asked in this order; of those that are equally sure that a file is theirs, the first one has it."""

TRANSFORM_FORMATS: dict[str, TransformFormat] = {each.name: each for each in FORMATS}

TRANSFORM_SUFFIXES = tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))
"""What names of transform files end in, whoever wrote them."""


def read_transform_file(path: Path, *, format: str | None = None, spaces: Spaces) -> Transform:
    """Transform of a file of any known tool: fixed world to moving world, LPS+ mm.

    Args:
        path: the file; for some formats also the prefix of several.
        format: name of the format; None tells it from the file.
        spaces: grids of the two images, for formats in voxels.

    Raises:
        UnspecifiedError: the format cannot be told, or an image that it needs is not given.
        FileError: missing, damaged, or of no known format.
        TransformError: a transform that cannot be used.
    """
    chosen = recognise_transform(path).format if format is None else format
    with naming(path):
        return TRANSFORM_FORMATS[chosen].read(path, spaces)


def write_transform_file(
    transform: Transform, path: Path, *, format: str | None = None, spaces: Spaces
) -> tuple[Path, ...]:
    """Write a transform in a format, by default the one that the name asks for; the files written are returned.

    Raises:
        UnspecifiedError: the name does not tell the format, or an image that it needs is not given.
        TransformError: a format that cannot hold the transform.
        FileError: the file cannot be written.
    """
    chosen = format_by_name(path) if format is None else format
    return TRANSFORM_FORMATS[chosen].write(transform, path, spaces)


def format_by_name(path: Path) -> str:
    """Format that the name of an output asks for.

    Raises:
        UnspecifiedError: several formats share such a name.
    """
    asked_for = {suffix: each.name for each in FORMATS for suffix in each.written}
    suffix = suffix_of(path, asked_for)
    if not suffix:
        known = ", ".join(TRANSFORM_FORMATS)
        raise UnspecifiedError(f"{path}: its name does not tell the format; name one of {known}.", what="target")
    return asked_for[suffix]


def recognise_transform(path: Path, *, formats: Sequence[TransformFormat] = FORMATS) -> Recognised:
    """What a file is, by its content where that tells: what the surest of the formats takes it for.

    Raises:
        FileError: missing, empty, or of no known format.
        UnspecifiedError: formats that cannot be told apart.
    """
    is_whole = path.is_file() and path.stat().st_size > 0
    answers = [each.recognise(path) for each in formats if is_whole or each.is_prefix]
    for sureness in RANKED:
        found = [answer for answer in answers if answer is not None and answer.sureness == sureness]
        if len(found) > 1 and sureness != "said":
            raise UnspecifiedError(_alike(path, found, formats), what="format")
        if found:
            return found[0]
    if not is_whole:
        raise FileError(f"{path}: is missing or empty; need a transform file.")
    raise FileError(_unknown(path, formats))


def gather_transforms(files: Sequence[Path]) -> tuple[Found, ...]:
    """Transforms among the files of a folder, where some formats have several files for one."""
    found: list[Found] = []
    left = list(files)
    for each in FORMATS:
        gathered = each.gather(left)
        found += gathered.found
        used = {path for one in gathered.found for path in one.files} | set(gathered.passed_over)
        left = [path for path in left if path not in used]
    return (*found, *(Found(stem=stem_of(path, TRANSFORM_SUFFIXES), files=(path,)) for path in left))


def _alike(path: Path, found: Sequence[Recognised], formats: Sequence[TransformFormat]) -> str:
    names = {answer.format for answer in found}
    described = [
        f"{each.name} ({each.frame}, {each.units}, {each.direction})" for each in formats if each.name in names
    ]
    return f"{path}: {found[0].why}, which {', '.join(described[:-1])} and {described[-1]} all write; name the format."


def _unknown(path: Path, formats: Sequence[TransformFormat]) -> str:
    fitting = [each for each in formats if has_suffix(path, each.suffixes)] or formats
    described = "; ".join(f"{each.name}: {each.holds}" for each in fitting)
    return f"{path}: is of no known transform format; need one of {described}."
