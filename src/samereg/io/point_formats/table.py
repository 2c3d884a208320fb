"""Points as CSV with the header x,y,z, in LPS+ mm; other columns are kept."""

from pathlib import Path

from samereg.io.formats import Recognised, has_suffix
from samereg.io.point_formats.format import PointFormat
from samereg.io.point_formats.points import OUTSIDE, MovedPoints, PointSet
from samereg.io.points import has_header, read_points_csv, write_table_csv

_SUFFIXES = (".csv",)


def read_table(path: Path) -> PointSet:
    """Reads points and other columns of a CSV file; see `read_points_csv`."""
    points_mm, columns = read_points_csv(path)
    return PointSet(points_mm=points_mm, columns=columns)


def write_table(moved: MovedPoints, path: Path) -> None:
    """Writes x,y,z, the other columns, and `outside` (1 or 0)."""
    kept = {name: texts for name, texts in moved.columns.items() if name != OUTSIDE}
    rows = [
        [*(f"{value:.4f}" for value in point), *(texts[row] for texts in kept.values()), int(outside)]
        for row, (point, outside) in enumerate(zip(moved.points_mm.tolist(), moved.outside.tolist(), strict=True))
    ]
    write_table_csv(("x", "y", "z", *kept, OUTSIDE), rows, path)


def _recognise(path: Path) -> Recognised | None:
    if not has_suffix(path, _SUFFIXES) or not has_header(path):
        return None
    return Recognised(format="csv", certainty="declared", why="its first line holds words")


CSV = PointFormat(
    name="csv",
    suffixes=_SUFFIXES,
    recognise=_recognise,
    read=lambda path, _: read_table(path),
    write=lambda moved, path, _source, _grid: write_table(moved, path),
)
