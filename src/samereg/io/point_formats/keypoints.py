"""Learn2Reg keypoints: CSV without a header, in voxel coordinates along the NIfTI axes of an image."""

from pathlib import Path

from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised, has_suffix
from samereg.io.point_formats.format import PointFormat, need_image
from samereg.io.point_formats.points import MovedPoints, PointSet, require_points
from samereg.io.points import has_header
from samereg.io.text import Row, TextTable, finite_number, read_rows

_SUFFIXES = (".csv",)


def read_keypoints(path: Path, grid: Grid) -> PointSet:
    """Reads rows of three voxel coordinates (i, j, k) as world positions.

    Args:
        path: the file.
        grid: grid of the image.

    Raises:
        FileError: missing, or not text.
        InputError: a row that is not three numbers, or no points.
    """
    table = read_rows(path)
    points_vox = require_points([_three_numbers(row, table, path) for row in table.rows], path)
    return PointSet(points_mm=grid.to_world(points_vox.flip(1)))


def write_keypoints(moved: MovedPoints, path: Path, grid: Grid) -> None:
    """Writes rows of three voxel coordinates; the format cannot mark points outside."""
    points_vox = grid.to_index(moved.points_mm).flip(1)
    lines = (",".join(f"{value:.4f}" for value in row) for row in points_vox.tolist())
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _three_numbers(row: Row, table: TextTable, path: Path) -> list[float]:
    values = [finite_number(cell, has_decimal_comma=table.has_decimal_comma) for cell in row.cells]
    numbers = [value for value in values if value is not None]
    if len(values) != 3 or len(numbers) != 3:
        text = ",".join(row.cells)[:60]
        raise InputError(f"{path}: line {row.line} is {text!r}; need three voxel coordinates, comma-separated.")
    return numbers


def _recognise(path: Path) -> Recognised | None:
    if not has_suffix(path, _SUFFIXES) or has_header(path):
        return None
    return Recognised(format="learn2reg", certainty="compatible", why="its first line holds numbers")


KEYPOINTS = PointFormat(
    name="learn2reg",
    suffixes=_SUFFIXES,
    needs=("image",),
    marks=False,
    recognise=_recognise,
    read=lambda path, grid: read_keypoints(path, need_image(grid, path)),
    write=lambda moved, path, _, grid: write_keypoints(moved, path, need_image(grid, path)),
)
