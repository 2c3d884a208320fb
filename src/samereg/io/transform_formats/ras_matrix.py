"""Affine maps as four lines of four numbers, RAS mm, fixed to moving: greedy, c3d and NiftyReg."""

from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import FileError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised
from samereg.io.transform_formats.beginning import beginning
from samereg.io.transform_formats.spaces import Spaces, as_affine

_FLIP = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))


def read_ras_matrix(path: Path, _: Spaces) -> Transform:
    """Reads a matrix and converts it to LPS.

    Raises:
        FileError: not sixteen numbers.
        TransformError: not an affine map.
    """
    matrix = _FLIP @ read_matrix(path) @ _FLIP
    matrix[3] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    return Affine(matrix=matrix)


def write_ras_matrix(transform: Transform, path: Path, _: Spaces) -> tuple[Path, ...]:
    """Converts a map to RAS and writes it.

    Raises:
        TransformError: the transform is not affine.
    """
    write_matrix(_FLIP @ as_affine(transform, str(path)).matrix @ _FLIP, path)
    return (path,)


def read_matrix(path: Path) -> Float64[Tensor, "4 4"]:
    """Reads sixteen numbers of a text file.

    Raises:
        FileError: something else.
        TransformError: a last row that is not (0, 0, 0, 1), or a matrix without an inverse.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # Only Python accepts underscores in numbers.
        numbers = [float(word) for word in text.replace("_", "?").split()]
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read as a matrix; need four lines of four numbers.") from error
    if len(numbers) != 16:
        raise FileError(f"{path}: holds {len(numbers)} numbers; need four lines of four.")
    matrix = torch.tensor(numbers, dtype=torch.float64).reshape(4, 4)
    if not torch.allclose(matrix[3], torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)):
        raise TransformError(f"{path}: has {matrix[3].tolist()} as its last row; need (0, 0, 0, 1).")
    if float(torch.linalg.det(matrix[:3, :3])) == 0.0:
        raise TransformError(f"{path}: holds a singular matrix; need three independent columns.")
    return matrix


def write_matrix(matrix: Float64[Tensor, "4 4"], path: Path) -> None:
    """Writes sixteen numbers in full precision."""
    text = "\n".join(" ".join(f"{value:.17g}" for value in row) for row in matrix.tolist())
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def recognise_matrix(path: Path, *, format: str) -> Recognised | None:
    """Recognises a file of sixteen numbers, which several tools share."""
    try:
        count = len([float(word) for word in beginning(path).split()])
    except ValueError:
        return None
    return Recognised(format=format, certainty="compatible", why="holds sixteen numbers") if count == 16 else None
