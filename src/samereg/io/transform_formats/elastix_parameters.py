"""Parser of elastix parameter files, `(Name value ...)`, and conversion of linear and spline transforms."""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import SimpleITK as sitk
import torch

from samereg.errors import FileError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.io.transforms import to_affine

_ENTRY = re.compile(r"^\s*\(\s*(\w+)\s+(.*?)\s*\)\s*(?://.*)?$")
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_COMMENT = re.compile(r"^\s*(//.*)?$")
_CUBIC = "3"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """Entries of a parameter file.

    Attributes:
        path: the file, for messages.
        entries: values by name, as text.
    """

    path: Path
    entries: dict[str, tuple[str, ...]]

    def has(self, name: str) -> bool:
        """Whether an entry exists."""
        return name in self.entries

    def words(self, name: str) -> tuple[str, ...]:
        """Values of an entry.

        Raises:
            TransformError: it is missing.
        """
        if not self.entries.get(name):
            raise TransformError(f"{self.path}: has no entry ({name} ...); need a transform file of elastix.")
        return self.entries[name]

    def numbers(self, name: str, count: int) -> list[float]:
        """Values of an entry as numbers.

        Raises:
            TransformError: missing, not numbers, or the wrong number of them.
        """
        # Only Python accepts underscores in numbers.
        wrong = [word for word in self.words(name) if "_" in word or not _is_float(word)]
        if wrong:
            raise TransformError(f"{self.path}: ({name} ...) holds {wrong[0]!r}; need numbers.")
        values = [float(word) for word in self.words(name)]
        if not all(isfinite(value) for value in values):
            raise TransformError(f"{self.path}: ({name} ...) holds NaN or infinity; need finite numbers.")
        if len(values) != count:
            raise TransformError(f"{self.path}: ({name} ...) holds {len(values)} numbers; need {count}.")
        return values


def read_parameters(path: Path) -> Parameters:
    """Entries of a file.

    Raises:
        FileError: missing, or not a parameter file.
        TransformError: of another dimension than three.
    """
    try:
        # File names in it need not be UTF-8; the parser checks the rest.
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise FileError(f"{path}: cannot be read; need a transform parameter file of elastix.") from error
    found = [_entry(path, number, line) for number, line in enumerate(lines, start=1) if not _COMMENT.match(line)]
    entries = {
        entry.group(1): tuple(quoted or bare for quoted, bare in _WORD.findall(entry.group(2))) for entry in found
    }
    if "Transform" not in entries:
        raise FileError(f"{path}: is not a transform parameter file of elastix; need an entry (Transform ...).")
    if entries.get("FixedImageDimension", ("3",))[0] != "3":
        raise TransformError(f"{path}: is {entries['FixedImageDimension'][0]}-dimensional; need 3.")
    parameters = Parameters(path=path, entries=entries)
    _require_own_numbers(parameters)
    return parameters


def _entry(path: Path, number: int, line: str) -> re.Match[str]:
    entry = _ENTRY.match(line)
    if entry is None:
        raise FileError(
            f"{path}: is truncated, damaged, or not of elastix: line {number} is {line[:40]!r}; need (Name value ...)."
        )
    return entry


def _require_own_numbers(parameters: Parameters) -> None:
    """Checks that a file holds its own parameters, as many as declared."""
    binary = "UseBinaryFormatForTransformationParameters"
    if parameters.has(binary) and parameters.words(binary)[0] == "true":
        raise TransformError(f"{parameters.path}: has its parameters in a binary file; need them as text.")
    if not parameters.has("NumberOfParameters"):
        return
    said, there = parameters.words("NumberOfParameters")[0], len(parameters.entries.get("TransformParameters", ()))
    if said != str(there):
        raise TransformError(f"{parameters.path}: says that it has {said} parameters, but holds {there} numbers.")


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def affine_of(parameters: Parameters, kind: str) -> Affine:
    """The map of a linear transform.

    Raises:
        TransformError: another kind.
    """
    if kind == "TranslationTransform":
        return to_affine(sitk.TranslationTransform(3, parameters.numbers("TransformParameters", 3)))
    makers = {"AffineTransform": _affine, "EulerTransform": _euler, "SimilarityTransform": _similarity}
    if kind not in makers:
        known = ", ".join(["TranslationTransform", *makers, "BSplineTransform", "DeformationFieldTransform"])
        raise TransformError(f"{parameters.path}: holds a {kind}; need one of {known}.")
    return to_affine(makers[kind](parameters))


def spline_of(parameters: Parameters) -> Spline:
    """The cubic B-spline of a file.

    Raises:
        TransformError: another order, a periodic one, or numbers that do not fit.
    """
    order = parameters.words("BSplineTransformSplineOrder")[0] if parameters.has("BSplineTransformSplineOrder") else "3"
    cyclic = parameters.has("UseCyclicTransform") and parameters.words("UseCyclicTransform")[0] == "true"
    if order != _CUBIC or cyclic:
        raise TransformError(f"{parameters.path}: holds a B-spline of order {order} or a periodic one; need cubic.")
    sizes = parameters.numbers("GridSize", 3)
    if not all(n.is_integer() and n >= 1.0 for n in sizes):
        raise TransformError(f"{parameters.path}: (GridSize ...) holds {sizes}; need whole numbers, at least 1.")
    width, height, depth = (int(n) for n in sizes)
    values = parameters.numbers("TransformParameters", 3 * width * height * depth)
    spacing, origin = parameters.numbers("GridSpacing", 3), parameters.numbers("GridOrigin", 3)
    cosines = parameters.numbers("GridDirection", 9) if parameters.has("GridDirection") else _IDENTITY
    # Directions are stored column-major; the first column is the x axis.
    axes = torch.tensor(cosines, dtype=torch.float64).reshape(3, 3).T * torch.tensor(spacing, dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3], affine[:3, 3] = axes.flip(1), torch.tensor(origin, dtype=torch.float64)
    grid = Grid(shape=(depth, height, width), affine=affine)
    index = parameters.numbers("GridIndex", 3) if parameters.has("GridIndex") else [0.0, 0.0, 0.0]
    affine[:3, 3] = grid.to_world(torch.tensor(index[::-1], dtype=torch.float64))
    data = torch.tensor(values, dtype=torch.float64).reshape(3, *grid.shape)
    return Spline(grid=Grid(shape=grid.shape, affine=affine), data=data)


def spline_text(spline: Spline) -> str:
    """Entries of a cubic B-spline."""
    width, height, depth = spline.grid.shape[::-1]
    values = " ".join(f"{value:.12g}" for value in spline.data.flatten().tolist())
    return (
        f'(Transform "BSplineTransform")\n(NumberOfParameters {spline.data.numel()})\n(TransformParameters {values})\n'
        f"(GridSize {width} {height} {depth})\n(GridIndex 0 0 0)\n"
        f"(GridSpacing {_joined(spline.grid.spacing_mm[::-1])})\n"
        f"(GridOrigin {_joined(spline.grid.origin_mm.tolist())})\n"
        f"(GridDirection {_joined(spline.grid.direction.flip(1).T.flatten().tolist())})\n"
        '(BSplineTransformSplineOrder 3)\n(UseCyclicTransform "false")\n'
    )


def grid_text(grid: Grid) -> str:
    """Entries of transformix' output grid."""
    width, height, depth = grid.shape[::-1]
    return (
        f"(Size {width} {height} {depth})\n(Index 0 0 0)\n(Spacing {_joined(grid.spacing_mm[::-1])})\n"
        f"(Origin {_joined(grid.origin_mm.tolist())})\n"
        f"(Direction {_joined(grid.direction.flip(1).T.flatten().tolist())})\n"
    )


_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def _affine(parameters: Parameters) -> sitk.Transform:
    numbers = parameters.numbers("TransformParameters", 12)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(_centre(parameters))
    affine.SetMatrix(numbers[:9])
    affine.SetTranslation(numbers[9:])
    return affine


def _euler(parameters: Parameters) -> sitk.Transform:
    numbers = parameters.numbers("TransformParameters", 6)
    euler = sitk.Euler3DTransform()
    euler.SetComputeZYX(parameters.has("ComputeZYX") and parameters.words("ComputeZYX")[0] == "true")
    euler.SetCenter(_centre(parameters))
    euler.SetParameters(numbers)
    return euler


def _similarity(parameters: Parameters) -> sitk.Transform:
    similarity = sitk.Similarity3DTransform()
    similarity.SetCenter(_centre(parameters))
    similarity.SetParameters(parameters.numbers("TransformParameters", 7))
    return similarity


def _centre(parameters: Parameters) -> list[float]:
    return parameters.numbers("CenterOfRotationPoint", 3)


def _joined(values: tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{value:.12g}" for value in values)
