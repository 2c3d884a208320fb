"""Values shared by all point formats, and helpers for reading them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.errors import FileError, InputError
from samereg.io.text import read_text

OUTSIDE = "outside"
"""Column or property that marks points outside the transform's domain."""

_SIGNS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PointSet:
    """Points of a file.

    Attributes:
        points_mm: world positions, LPS+.
        columns: other columns by name, one text per point.
    """

    points_mm: Float64[Tensor, "n 3"]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MovedPoints:
    """Transformed points, ready to be written.

    Attributes:
        points_mm: new world positions, LPS+.
        outside: which points lie outside the transform's domain.
        columns: as in the source file.
    """

    points_mm: Float64[Tensor, "n 3"]
    outside: Bool[Tensor, " n"]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def between_lps_and(frame: str, points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
    """Converts points from LPS+ to a frame or back, which is the same change of signs."""
    return points_mm * torch.tensor(_SIGNS[frame], dtype=torch.float64)


def require_points(points: list[list[float]], path: Path) -> Float64[Tensor, "n 3"]:
    """Converts a list of positions to a tensor.

    Raises:
        InputError: none, or numbers that are not finite.
    """
    if not points:
        raise InputError(f"{path}: holds no points; need at least one.")
    points_mm = torch.tensor(points, dtype=torch.float64)
    if not bool(torch.isfinite(points_mm).all()):
        raise InputError(f"{path}: holds positions that are NaN or infinite; need finite numbers.")
    return points_mm


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileError: missing, or not JSON; NaN and infinity are not allowed.
    """

    def refuse(word: str) -> None:
        raise FileError(f"{path}: holds {word}, which is not JSON; need finite numbers.")

    try:
        return json.loads(read_text(path), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise FileError(f"{path}: is not JSON (line {error.lineno}); need the file that Slicer writes.") from error
