"""Carries the points of a file from one space to the other, everything given by path."""

from dataclasses import dataclass
from pathlib import Path

from samereg.app.directions import SpaceName, point_map
from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.app.spaces import read_spaces
from samereg.io.format_names import PointFormatName, TransformFormatName
from samereg.io.point_files import POINT_FORMATS, format_to_write, recognise_points
from samereg.io.point_formats.points import MovedPoints


@dataclass(frozen=True, kw_only=True, slots=True)
class PointsSettings:
    """What moving points depends on besides their file and the transform.

    Attributes:
        source: space of the points.
        target: space that they go to.
        points_format: of the file; None tells it from the file.
        transform_format: of the transform; None tells it from the file.
        fixed: image of the fixed space, for coordinates in voxels.
        moving: image of the moving space.
    """

    source: SpaceName
    target: SpaceName
    points_format: PointFormatName | None = None
    transform_format: TransformFormatName | None = None
    fixed: Path | None = None
    moving: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedRecord:
    """What was written.

    Attributes:
        output: file that was written.
        points: how many there are.
        outside: how many of them the transform says nothing about.
        marked: whether the file itself says which.
        how: what carried them.
        largest_mm: longest way that a point inside went.
    """

    output: Path
    points: int
    outside: int
    marked: bool
    how: str
    largest_mm: float


def move_points_file(
    transform_path: Path, points_path: Path, output: Path, *, settings: PointsSettings, overwrite: bool = False
) -> MovedRecord:
    """Move points between the two spaces of a transform and write them.

    Points that the transform says nothing about are carried by what it does there, the identity of its fields, and
    marked where the format can say so.

    Raises:
        UsageError: `output` exists, the same space twice, or an image that is needed is not given.
        InputError: a file that cannot be used.
    """
    refuse_input(output, (transform_path, points_path, settings.fixed, settings.moving))
    with claimed_outputs(output, overwrite=overwrite):
        named = recognise_points(points_path) if settings.points_format is None else settings.points_format
        written = format_to_write(output, named)
        spaces = read_spaces(settings.fixed, settings.moving)
        grids = {"fixed": spaces.fixed, "moving": spaces.moving}
        points = POINT_FORMATS[named].read(points_path, grids[settings.source])
        way = point_map(
            transform_path, settings.source, settings.target, format=settings.transform_format, spaces=spaces
        )
        moved_mm, outside = way.move(points.points_mm)
        moved = MovedPoints(points_mm=moved_mm, outside=outside, columns=points.columns)
        source = points_path if written == named else None
        POINT_FORMATS[written].write(moved, output, source, grids[settings.target])
    went = (moved_mm - points.points_mm).norm(dim=1)[~outside]
    return MovedRecord(
        output=output,
        points=len(moved_mm),
        outside=int(outside.sum()),
        marked=POINT_FORMATS[written].marks,
        how=way.how,
        largest_mm=round(float(went.max()), 4) if len(went) else 0.0,
    )
