"""Interface of point formats: one object at the end of each module here, registered in `point_files`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from samereg.errors import UnspecifiedError, UsageError
from samereg.geometry.grid import Grid
from samereg.io.formats import Recognised, has_suffix
from samereg.io.point_formats.points import MovedPoints, PointSet

Need = Literal["image", "source"]
"""image: whose voxel coordinates the points are; source: file of the same format that the output is derived from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointFormat:
    """A file format of points.

    Attributes:
        name: its name for users.
        suffixes: of its file names.
        recognise: recognises a file; None if it has another format.
        read: reads points; takes the grid of the image for voxel coordinates.
        write: writes points; takes the output file, the source file of the same format, if any, and
            the grid of the image for voxel coordinates.
        needs: required inputs of reading or writing.
        marks: whether the file can mark points outside the domain.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[Path], Recognised | None]
    read: Callable[[Path, Grid | None], PointSet]
    write: Callable[[MovedPoints, Path, Path | None, Grid | None], None]
    needs: tuple[Need, ...] = field(default=())
    marks: bool = True

    @property
    def is_mesh(self) -> bool:
        """Whether points are vertices of a mesh, which cannot be made from a list of points."""
        return "source" in self.needs


def by_name(name: str, *suffixes: str) -> Callable[[Path], Recognised | None]:
    """Recognition by suffix only."""

    def recognise(path: Path) -> Recognised | None:
        found = Recognised(format=name, certainty="name", why=f"its name ends in {' or '.join(suffixes)}")
        return found if has_suffix(path, suffixes) else None

    return recognise


def need_image(grid: Grid | None, path: Path) -> Grid:
    """The grid of the image for voxel coordinates, which must be given.

    Raises:
        UnspecifiedError: not given.
    """
    if grid is None:
        raise UnspecifiedError(f"{path}: keypoints in voxels need the image that they belong to.", what="image")
    return grid


def need_source(source: Path | None, output: Path) -> Path:
    """The source mesh of an output, which must be given.

    Raises:
        UsageError: the points came from another format.
    """
    if source is None:
        raise UsageError(f"{output}: a mesh can only be made from a mesh of the same format.")
    return source
