"""What a format of point files is: one object at the end of each file here, listed once in `point_files`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from samereg.errors import UnspecifiedError, UsageError
from samereg.geometry.grid import Grid
from samereg.io.formats import Recognised, has_suffix
from samereg.io.point_formats.points import MovedPoints, PointSet

Need = Literal["image", "source"]
"""The image whose voxels the coordinates are; the file of the same format that points came from, to be written anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointFormat:
    """One format of point files.

    Attributes:
        name: what users call it.
        suffixes: what names of its files end in.
        recognise: what a file is taken for; None if it is of another format.
        read: points of a file; takes the grid of the image that voxel coordinates belong to.
        write: takes the points, the file to write, the file of the same format that they came from, if any, and
            the grid of the image that voxel coordinates belong to.
        needs: what reading or writing cannot do without.
        marks: whether a point outside can be marked in the file.
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
        """Whether points are corners of something, which no list of points can become."""
        return "source" in self.needs


def by_name(name: str, *suffixes: str) -> Callable[[Path], Recognised | None]:
    """A look at a file's name alone."""

    def recognise(path: Path) -> Recognised | None:
        found = Recognised(format=name, sureness="named", why=f"its name ends in {' or '.join(suffixes)}")
        return found if has_suffix(path, suffixes) else None

    return recognise


def need_image(grid: Grid | None, path: Path) -> Grid:
    """The grid of the image that voxel coordinates of a file belong to.

    Raises:
        UnspecifiedError: not given.
    """
    if grid is None:
        raise UnspecifiedError(f"{path}: keypoints in voxels need the image that they belong to.", what="image")
    return grid


def need_source(source: Path | None, output: Path) -> Path:
    """The mesh that an output is made from.

    Raises:
        UsageError: the points came from another format.
    """
    if source is None:
        raise UsageError(f"{output}: a mesh can only be made from a mesh of the same format.")
    return source
