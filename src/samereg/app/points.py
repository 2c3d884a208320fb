"""Maps the points of a file from one space to the other."""

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
    """Settings of mapping points.

    Attributes:
        source: space of the points.
        target: space of the output.
        points_format: of the file; None to detect it.
        transform_format: of the transform; None to detect it.
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
    """Record of the output.

    Attributes:
        output: output file.
        points: number of points.
        outside: number of points outside the domain.
        marked: whether the output marks them.
        how: description of the method.
        max_mm: maximum displacement of a point inside.
    """

    output: Path
    points: int
    outside: int
    marked: bool
    how: str
    max_mm: float


def move_points_file(
    transform_path: Path, points_path: Path, output: Path, *, settings: PointsSettings, overwrite: bool = False
) -> MovedRecord:
    """Maps points between the two spaces of a transform and writes them.

    Points outside the domain are mapped with the fields as identity, and
    marked if the format allows it.

    Raises:
        UsageError: `output` exists, the same space twice, or a required image is not given.
        InputError: an invalid file.
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
        max_mm=round(float(went.max()), 4) if len(went) else 0.0,
    )
