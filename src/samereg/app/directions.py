"""Point transforms between two named spaces, by the transform, its inverse file or a numeric inverse."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.errors import SameregError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.domain import domain_points, in_domain
from samereg.geometry.pointwise import invert_at_points
from samereg.geometry.transform import Transform
from samereg.io.format_names import TransformFormatName
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces

_LOG = logging.getLogger(__name__)

SpaceName = Literal["fixed", "moving"]

INVERSE_NAME, FORWARD_NAME = "inverse.h5", "transform.h5"
CHECKED_POINTS = 500
BELONGS_MM = 1.0
"""Maximum error in mm of 90 % of the points for an inverse file to match its transform."""
BELONGING_SHARE = 0.9
SOLVED_MM = 0.05
"""Maximum residual in mm of a solved numeric inverse."""

Moved = tuple[Float64[Tensor, "n 3"], Bool[Tensor, " n"]]
"""New positions, and which points lie outside the domain."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PointMap:
    """A map of points from one space to the other.

    Attributes:
        move: maps points; returns new positions and which points lie outside the domain.
        how: description of the method.
    """

    move: Callable[[Float64[Tensor, "n 3"]], Moved]
    how: str


def point_map(
    path: Path, source: SpaceName, target: SpaceName, *, format: TransformFormatName | None, spaces: Spaces
) -> PointMap:
    """Map of points from one space to the other by a transform file, which maps fixed to moving points.

    Moving points are mapped by `inverse.h5` beside the transform if it matches, otherwise by inverting the transform
    numerically at each point.

    Raises:
        UsageError: the same space twice, or a file that is the inverse of another beside it.
        InputError: an invalid file.
    """
    if source == target:
        raise UsageError(f"Got --from {source} --to {target}; need two different spaces, fixed and moving.")
    if path.name == INVERSE_NAME and path.with_name(FORWARD_NAME).is_file():
        raise UsageError(f"{path}: is the inverse of {FORWARD_NAME} beside it; give that file, with the spaces.")
    transform = read_transform_file(path, format=format, spaces=spaces)
    if source == "fixed":
        return PointMap(move=lambda points: _forward(transform, points), how="the transform")
    if isinstance(transform, Affine):
        return PointMap(move=lambda points: _forward(transform.inverse(), points), how="the inverse of the affine map")
    inverse = _inverse_beside(path, transform)
    if inverse is not None:
        return PointMap(move=lambda points: _forward(inverse, points), how=f"{INVERSE_NAME} beside the transform")
    return PointMap(move=lambda points: _backward(transform, points), how="the transform, inverted at each point")


def _forward(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Moved:
    return transform.apply(points_mm), ~in_domain(transform, points_mm)


def _backward(transform: Transform, points_mm: Float64[Tensor, "n 3"]) -> Moved:
    found = invert_at_points(transform, points_mm)
    inside = in_domain(transform, found.points_mm) & (found.residual_mm <= SOLVED_MM)
    return found.points_mm, ~inside


def _inverse_beside(path: Path, transform: Transform) -> Transform | None:
    beside = path.with_name(INVERSE_NAME)
    if not beside.is_file() or beside == path:
        return None
    try:
        inverse = read_transform_file(beside, spaces=Spaces())
    except SameregError as error:
        _LOG.warning("%s is not used: %s", beside, error)
        return None
    points = domain_points(transform, CHECKED_POINTS)
    landed = transform.apply(points)
    reached = in_domain(inverse, landed)
    error_mm = inverse_consistency_mm(transform, inverse, points)[reached]
    if len(error_mm) == 0 or float(error_mm.quantile(BELONGING_SHARE)) > BELONGS_MM:
        _LOG.warning("%s is not the inverse of %s and is ignored", beside, path.name)
        return None
    return inverse
