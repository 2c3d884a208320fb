"""elastix `TransformParameters.txt`: LPS mm, fixed to moving; a file may name an initial transform."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from samereg.errors import FileError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised, has_suffix
from samereg.io.transform_formats.beginning import beginning
from samereg.io.transform_formats.elastix_parameters import (
    Parameters,
    affine_of,
    grid_text,
    read_parameters,
    spline_of,
    spline_text,
)
from samereg.io.transform_formats.format import Found, Gathered, TransformFormat
from samereg.io.transform_formats.spaces import Spaces, as_field
from samereg.io.transform_formats.vector_images import write_vector_image
from samereg.io.transforms import read_transform

_INITIAL = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
_NONE = "NoInitialTransform"
_FIELD_NAME = "DeformationFieldFileName"
_TEXTS = (".txt",)
_STAGE = re.compile(r"TransformParameters\.(?P<place>\d+)\.txt")
_LEVEL = re.compile(r"TransformParameters\.\d+\.R\d+\.txt")
"""Files that elastix writes after each resolution; the last is also the result."""
_DEEPEST = 20
"""Maximum depth of initial transforms, to detect cycles."""
_COMMON = """\
(InitialTransformParameterFileName "NoInitialTransform")
(HowToCombineTransforms "Compose")
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(UseDirectionCosines "true")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
(DefaultPixelValue -1024)
(ResultImageFormat "nii.gz")
(ResultImagePixelType "short")
"""


def read_elastix(path: Path, _: Spaces) -> Transform:
    """Reads the transform of a parameter file, composed with its initial transforms.

    Raises:
        FileError: missing, or not a parameter file.
        TransformError: an unsupported kind, or transforms that are added instead of composed.
    """
    return _read(path, depth=0)


def write_elastix(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes a parameter file for `transformix`, with a field beside it unless the transform is affine or one spline.

    Raises:
        UsageError: no grid for the field.
    """
    extra: tuple[Path, ...] = ()
    if isinstance(transform, Affine):
        text = _affine_text(transform)
    elif isinstance(transform, Spline):
        text = spline_text(transform)
    else:
        field = as_field(transform, spaces, path)
        image = field_file_of(path)
        extra = write_vector_image(field, image, Spaces())
        text = _field_text(image)
    grid = spaces.fixed or _own_grid(transform)
    with atomic_file(path) as temporary:
        # The file name of the field need not be UTF-8.
        content = text + _COMMON + (grid_text(grid) if grid else "")
        temporary.write_text(content, encoding="utf-8", errors="surrogateescape")
    return (path, *extra)


def field_file_of(path: Path) -> Path:
    """Path of the field of a parameter file."""
    return path.with_name(path.name.removesuffix(path.suffix) + "_field.mha")


def _read(path: Path, *, depth: int) -> Transform:
    if depth > _DEEPEST:
        raise TransformError(f"{path}: has circular initial transforms; need a finite chain.")
    parameters = read_parameters(path)
    transform = _own_transform(parameters)
    initial = _initial(parameters)
    if initial == _NONE:
        return transform
    how = parameters.words("HowToCombineTransforms")[0] if parameters.has("HowToCombineTransforms") else "Compose"
    if how != "Compose":
        raise TransformError(f"{path}: combines transforms by '{how}'; need 'Compose'.")
    return chain(_read(_beside(path, initial), depth=depth + 1), transform)


def _initial(parameters: Parameters) -> str:
    return next((parameters.words(name)[0] for name in _INITIAL if parameters.has(name)), _NONE)


def _own_transform(parameters: Parameters) -> Transform:
    kind = parameters.words("Transform")[0]
    if kind in ("BSplineTransform", "RecursiveBSplineTransform"):
        return spline_of(parameters)
    if kind == "DeformationFieldTransform":
        return read_transform(_beside(parameters.path, parameters.words(_FIELD_NAME)[0]))
    return affine_of(parameters, kind)


def _beside(path: Path, named: str) -> Path:
    """The named file, or one of that name beside the referring file, because elastix results are often moved."""
    for candidate in (Path(named), path.parent / named, path.parent / Path(named).name):
        if candidate.is_file():
            return candidate
    raise FileError(f"{path}: names {named}, which exists neither there nor beside it.")


def _affine_text(affine: Affine) -> str:
    numbers = [*affine.linear.flatten().tolist(), *affine.translation_mm.tolist()]
    joined = " ".join(f"{value:.17g}" for value in numbers)
    return (
        f'(Transform "AffineTransform")\n(NumberOfParameters 12)\n(TransformParameters {joined})\n'
        "(CenterOfRotationPoint 0 0 0)\n"
    )


def _field_text(image: Path) -> str:
    # transformix resolves relative paths from its working directory, so the path is absolute.
    return (
        '(Transform "DeformationFieldTransform")\n(NumberOfParameters 0)\n'
        f'(DeformationFieldFileName "{image.absolute()}")\n(DeformationFieldInterpolationOrder 1)\n'
    )


def _own_grid(transform: Transform) -> Grid | None:
    first = parts(transform)[0]
    return first.grid if isinstance(first, Displacement) else None


def _recognise(path: Path) -> Recognised | None:
    if b"(Transform " not in beginning(path):
        return None
    return Recognised(format="elastix", certainty="declared", why="it has an entry (Transform ...)")


def _side_files(path: Path) -> tuple[Path, ...]:
    return (field_file_of(path),)


def _read_with(path: Path) -> tuple[Path, ...]:
    """The field that a file names, and those of its initial transforms."""
    return tuple(_chain(path, depth=0))


def _chain(path: Path, *, depth: int) -> Iterator[Path]:
    parameters = read_parameters(path)
    if parameters.has(_FIELD_NAME):
        yield _beside(path, parameters.words(_FIELD_NAME)[0])
    initial = _initial(parameters)
    if initial != _NONE and depth < _DEEPEST:
        before = _beside(path, initial)
        yield before
        yield from _chain(before, depth=depth + 1)


def _gather(files: Sequence[Path]) -> Gathered:
    """The last stage of a run, which names the earlier ones, and other parameter files that no file names."""
    texts = [path for path in files if has_suffix(path, _TEXTS) and not _LEVEL.fullmatch(path.name)]
    stages = {int(matched["place"]): path for path in texts if (matched := _STAGE.fullmatch(path.name))}
    last = stages[max(stages)] if stages else None
    words = "".join(path.read_text(encoding="utf-8", errors="replace") for path in texts)
    passed = [path for path in files if _LEVEL.fullmatch(path.name) or path.name in words or path in stages.values()]
    return Gathered(
        found=() if last is None else (Found(stem=last.name, files=(last,)),),
        skipped=tuple(path for path in passed if path != last),
    )


ELASTIX = TransformFormat(
    name="elastix",
    holds="parameter files with an entry (Transform ...)",
    frame="LPS",
    units="mm",
    suffixes=_TEXTS,
    affine_suffix=".txt",
    recognise=_recognise,
    read=read_elastix,
    write=write_elastix,
    side_files=_side_files,
    read_with=_read_with,
    gather=_gather,
)
