"""Validation of ITK's text and Matlab transform files before ITK, which ignores damage, reads them."""

import struct
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

from samereg.errors import FileError, TransformError

_COUNTS = {
    "AffineTransform": (12, (3,)),
    "MatrixOffsetTransformBase": (12, (3,)),
    "Rigid3DTransform": (12, (3,)),
    "Euler3DTransform": (6, (3, 4)),
    "VersorTransform": (3, (3,)),
    "VersorRigid3DTransform": (6, (3,)),
    "QuaternionRigidTransform": (7, (3,)),
    "Similarity3DTransform": (7, (3,)),
    "ScaleVersor3DTransform": (9, (3,)),
    "ScaleSkewVersor3DTransform": (15, (3,)),
    "ComposeScaleSkewVersor3DTransform": (12, (3,)),
    "TranslationTransform": (3, (0,)),
    "ScaleTransform": (3, (3,)),
}
"""Numbers of parameters and fixed parameters of ITK's 3-D linear transforms."""
_ON_GRIDS = ("DisplacementFieldTransform", "BSplineTransform")
_GRID_NUMBERS = 18
"""Number of values of a grid: size, origin and spacing along three axes, and nine cosines."""
_COMPOSITE = "CompositeTransform"
_SPACE = "_3_3"
_TAGS = ("Transform", "Parameters", "FixedParameters")
_MATRIX_HEADER = struct.Struct("<5i")
_MATRIX_TYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f8"),
    10: np.dtype("<f4"),
    1000: np.dtype(">f8"),
    1010: np.dtype(">f4"),
}
_MAX_NAME = 200
_MAX_GRID_NUMBER = 1e6
"""Maximum absolute value in a grid, mm: with larger values ITK may not terminate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Numbers:
    """One transform in a file: ITK's class name and its parameters."""

    kind: str
    parameters: list[float]
    fixed: list[float]


def require_counts(kind: str, parameters: int, fixed: list[float]) -> None:
    """Checks the numbers of parameters of a class of transform; unknown classes are left to ITK.

    Raises:
        FileError: too few or too many.
    """
    name = kind.partition("_")[0]
    if name in _ON_GRIDS:
        if len(fixed) != _GRID_NUMBERS:
            raise FileError(f"gives {len(fixed)} numbers for the grid of a {name}; need {_GRID_NUMBERS}.")
        size = fixed[:3]
        if not all(n >= 1.0 and n.is_integer() for n in size):
            raise FileError(f"gives the size {size} for the grid of a {name}; need whole numbers.")
        if max(abs(n) for n in fixed) > _MAX_GRID_NUMBER:
            raise FileError(f"gives {max(fixed, key=abs):g} for the grid of a {name}; need mm, and cosines.")
        needed = 3 * prod(int(n) for n in size)
        fixed_counts: tuple[int, ...] = (_GRID_NUMBERS,)
    elif name in _COUNTS:
        needed, fixed_counts = _COUNTS[name]
    else:
        return
    if parameters != needed or len(fixed) not in fixed_counts:
        raise FileError(
            f"gives {parameters} parameters and {len(fixed)} fixed parameters for a {name}; need {needed} and "
            f"{fixed_counts[0]}: it is truncated or damaged."
        )


def require_one(kinds: list[str]) -> None:
    """Checks that a file holds one transform or a composite; of several, ITK silently reads only the first.

    Args:
        kinds: classes of the transforms, in the order of the file.

    Raises:
        TransformError: several, and the first is no composite.
    """
    if len(kinds) > 1 and not kinds[0].startswith(_COMPOSITE):
        raise TransformError(f"holds {len(kinds)} transforms that are not one composite; need one transform.")


def require_valid_text(path: Path) -> None:
    """Checks a text file (`.tfm`, `.txt`) for damage that ITK would silently misread.

    Raises:
        FileError: truncated, invalid lines or numbers, or a wrong number of parameters.
        TransformError: numbers that are not finite.
    """
    text = path.read_bytes().decode("latin-1")
    if not text.endswith("\n"):
        raise FileError("does not end with a line break, so it may be truncated; if it is whole, add one.")
    transforms: list[dict[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        tag, separator, value = line.partition(":")
        if not separator or tag.strip() not in _TAGS or (tag.strip() != "Transform" and not transforms):
            raise FileError(f"is damaged, or no transform file of ITK: line {number} is {line[:40]!r}.")
        if tag.strip() == "Transform":
            transforms.append({})
        transforms[-1][tag.strip()] = value.strip()
    _require_all(
        [
            _Numbers(
                kind=entries["Transform"],
                parameters=_floats(entries.get("Parameters", "")),
                fixed=_floats(entries.get("FixedParameters", "")),
            )
            for entries in transforms
        ]
    )


def require_valid_matlab(path: Path) -> None:
    """Checks a Matlab file (`.mat`) of ITK or ANTs for damage; see `require_valid_text`.

    Raises:
        FileError: truncated, or not pairs of parameters and fixed parameters.
        TransformError: numbers that are not finite.
    """
    content = path.read_bytes()
    matrices: list[tuple[str, list[float]]] = []
    place = 0
    while place < len(content):
        name, numbers, place = _matrix(content, place)
        matrices.append((name, numbers))
    names = [name for name, _ in matrices]
    if not matrices or len(matrices) % 2 or set(names[1::2]) != {"fixed"}:
        raise FileError("is truncated, damaged, or not a transform file of ITK; need parameters and fixed parameters.")
    _require_all(
        [
            _Numbers(kind=kind, parameters=parameters, fixed=fixed)
            for (kind, parameters), (_, fixed) in zip(matrices[::2], matrices[1::2], strict=True)
        ]
    )


def _require_all(transforms: list[_Numbers]) -> None:
    if not transforms:
        raise FileError("holds no transform; need a line that begins with Transform:.")
    require_one([one.kind for one in transforms])
    for one in transforms:
        if one.kind.endswith(_SPACE):
            require_counts(one.kind, len(one.parameters), one.fixed)
        if not all(isfinite(value) for value in (*one.parameters, *one.fixed)):
            raise TransformError("holds numbers that are NaN or infinite; need finite numbers.")


def _floats(text: str) -> list[float]:
    # Only Python accepts underscores in numbers.
    if "_" in text:
        raise FileError("is damaged: a parameter holds an underscore; need numbers.")
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise FileError(f"is damaged: a parameter is no number ({error}).") from error


def _matrix(content: bytes, place: int) -> tuple[str, list[float], int]:
    """Name and values of the matrix that begins at an offset, and the offset of its end."""
    if len(content) - place < _MATRIX_HEADER.size:
        raise FileError(f"is truncated or damaged: it ends after {len(content)} bytes, inside a matrix.")
    words = _MATRIX_HEADER.unpack_from(content, place)
    if words[0] not in _MATRIX_TYPES:
        words = struct.unpack_from(">5i", content, place)
    kind, rows, columns, imaginary, length = words
    if kind not in _MATRIX_TYPES or imaginary or min(rows, columns) < 0 or not 1 <= length <= _MAX_NAME:
        raise FileError("is damaged, or not a transform file of ITK: its matrices have invalid headers.")
    start = place + _MATRIX_HEADER.size + length
    end = start + rows * columns * _MATRIX_TYPES[kind].itemsize
    if end > len(content):
        raise FileError(f"is truncated or damaged: it ends after {len(content)} bytes; its matrices need {end}.")
    name = content[place + _MATRIX_HEADER.size : start].split(b"\0")[0].decode("latin-1")
    numbers: list[float] = np.frombuffer(content[start:end], _MATRIX_TYPES[kind]).astype(np.float64).tolist()
    return name, numbers, end
