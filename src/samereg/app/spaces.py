"""Grids of the two images that a transform lies between, by path."""

from pathlib import Path

from samereg.geometry.grid import Grid
from samereg.io.images import read_grid
from samereg.io.transform_formats.spaces import Spaces


def read_spaces(fixed: Path | None, moving: Path | None) -> Spaces:
    """Grids of the images that are given.

    Raises:
        InputError: an image that cannot be used.
    """
    return Spaces(fixed=_grid(fixed), moving=_grid(moving))


def _grid(path: Path | None) -> Grid | None:
    return None if path is None else read_grid(path)
