"""Interface of image formats: one object at the end of the file that implements it, registered in `images`.

DICOM is not among them: it is read as series of slices, whatever their names, and not written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from samereg.geometry.grid import Grid
from samereg.io.formats import has_suffix, stem_of
from samereg.io.stored import StoredImage


def _nothing(_: Path) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFormat:
    """A file format of images and label maps.

    Attributes:
        name: its name for users.
        suffixes: of its file names.
        written: suffixes that can be written, the default first.
        read: reads the values and grid of a file.
        write: writes an array (d, h, w) on a grid; takes a file whose additional header entries are kept, if any.
        read_with: further files that reading opens, such as the voxel data of a header.
    """

    name: str
    suffixes: tuple[str, ...]
    written: tuple[str, ...]
    read: Callable[[Path], StoredImage]
    write: Callable[[NDArray[Any], Grid, Path, Path | None], None]
    read_with: Callable[[Path], tuple[Path, ...]] = _nothing

    def recognise(self, path: Path) -> bool:
        """Whether a file is of this format, judged by its suffix."""
        return has_suffix(path, self.suffixes)

    def name_to_write(self, path: Path) -> str:
        """File name for an output derived from `path`: the same, but a single file for header and data."""
        if has_suffix(path, self.written):
            return path.name
        return stem_of(path, self.suffixes) + self.written[0]
