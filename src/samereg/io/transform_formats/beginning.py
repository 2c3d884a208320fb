"""First bytes of a file, for recognition."""

from pathlib import Path

from samereg.io.formats import has_suffix
from samereg.io.itk import VOXEL_SUFFIXES

_ENOUGH = 65536


def beginning(path: Path) -> bytes:
    """First bytes of a file; empty for images, whose headers may contain any text."""
    if has_suffix(path, VOXEL_SUFFIXES):
        return b""
    with path.open("rb") as stream:
        return stream.read(_ENOUGH)
