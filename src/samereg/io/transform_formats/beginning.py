"""The first bytes of a file of unknown format."""

from pathlib import Path

from samereg.io.formats import has_suffix
from samereg.io.itk import VOXEL_SUFFIXES

_ENOUGH = 65536


def beginning(path: Path) -> bytes:
    """First bytes of a file; nothing of an image, whose header may hold any words."""
    if has_suffix(path, VOXEL_SUFFIXES):
        return b""
    with path.open("rb") as stream:
        return stream.read(_ENOUGH)
