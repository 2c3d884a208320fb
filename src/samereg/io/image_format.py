"""What a format of image files is: one object at the end of the file that reads it, listed once in `images`.

DICOM is none of these: it is read as series of slices, whatever their files are called, and not written.
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
    """One format of images and label maps.

    Attributes:
        name: what users call it.
        suffixes: what names of its files end in, whatever else they begin with.
        written: those of them that are written, the default first.
        read: numbers and grid of a file.
        write: writes numbers (d, h, w) on a grid; takes the file whose further header entries are kept, if any.
        read_with: files that reading opens besides the path, such as the voxels of a header.
    """

    name: str
    suffixes: tuple[str, ...]
    written: tuple[str, ...]
    read: Callable[[Path], StoredImage]
    write: Callable[[NDArray[Any], Grid, Path, Path | None], None]
    read_with: Callable[[Path], tuple[Path, ...]] = _nothing

    def recognise(self, path: Path) -> bool:
        """Whether a file is of this format; images are what their names say."""
        return has_suffix(path, self.suffixes)

    def name_to_write(self, path: Path) -> str:
        """What a file of this format made of another is called: as that, but one file where that are two."""
        if has_suffix(path, self.written):
            return path.name
        return stem_of(path, self.suffixes) + self.written[0]
