"""Reading of the grids and sources of a transform's fixed and moving images."""

from pathlib import Path

from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.io.images import read_place
from samereg.io.transform_formats.spaces import Spaces


def read_spaces(fixed: Path | None, moving: Path | None) -> Spaces:
    """Reads the grids and sources of the given images.

    Raises:
        InputError: an invalid image.
    """
    fixed_place, moving_place = _place(fixed), _place(moving)
    return Spaces(
        fixed=fixed_place[0],
        moving=moving_place[0],
        fixed_source=fixed_place[1],
        moving_source=moving_place[1],
    )


def _place(path: Path | None) -> tuple[Grid | None, Source | None]:
    return (None, None) if path is None else read_place(path)
