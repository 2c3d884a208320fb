"""An image as its file holds it, and the checks that every file format shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid, corners_mm

NUMBER_TYPES = frozenset(
    ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
)
"""Types of voxel that can be read and written, by their numpy names."""

SPACING_MM = (0.005, 100.0)
"""Voxels from micro-CT to thick slices; anything else is a damaged header or another unit."""
_FARTHEST_MM = 1e6
"""No scan lies a kilometre from the world's origin; beyond, positions lose their precision."""
_SHEAR_COSINE = 1e-3
"""Largest cosine between two axes that counts as rounding: 0.06 degrees."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredImage:
    """Numbers of a file before rescaling: value = slope * array + intercept.

    Attributes:
        array: (d, h, w), in the type of the file.
        grid: where the voxels lie.
        slope: factor of the rescaling.
        intercept: summand of the rescaling.
    """

    array: NDArray[Any]
    grid: Grid
    slope: float = 1.0
    intercept: float = 0.0


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the name of a file or image before the message of any bad-input error that does not begin with it."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def require_file(path: Path) -> None:
    """Refuse a path that is no file with something in it.

    Raises:
        FileError: missing, a folder, or empty.
    """
    if not path.exists():
        raise FileError(f"{path}: does not exist; need an image file or a folder of DICOM slices.")
    if not path.is_file():
        raise FileError(f"{path}: is not a file; need an image file.")
    if path.stat().st_size == 0:
        raise FileError(f"{path}: is empty; need an image file.")


def require_volume(path: Path | str, sizes: tuple[int, ...], *, components: int = 1) -> tuple[int, int, int]:
    """Sizes of an image in the file's order, refused unless they are those of one 3-D volume of numbers.

    Axes beyond the third that hold one element are dropped.

    Raises:
        GeometryError: 2-D, 4-D, a vector image, or no voxels.
    """
    shown = " x ".join(str(n) for n in sizes)
    if components != 1:
        raise GeometryError(f"{path}: holds {components} numbers per voxel; need one (a CT volume).")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if len(sizes) != 3:
        raise GeometryError(f"{path}: is {len(sizes)}-D ({shown} voxels); need one 3-D volume.")
    if min(sizes) < 1:
        raise GeometryError(f"{path}: has {shown} voxels; need at least one along each axis.")
    return sizes[0], sizes[1], sizes[2]


def require_number_type(path: Path | str, name: str) -> None:
    """Refuse a type of voxel that is not a real number of at most 64 bits.

    Raises:
        InputError: complex, colour, bit or extended types.
    """
    if name not in NUMBER_TYPES:
        raise InputError(f"{path}: holds voxels of type {name}; need whole or real numbers of 8 to 64 bits.")


def require_usable_grid(grid: Grid) -> None:
    """Refuse a grid that the file formats of this project cannot carry, or that is not in millimetres.

    Raises:
        GeometryError: shear, or spacing or position beyond anything that is a scan.
    """
    spacing = ", ".join(f"{s:g}" for s in grid.spacing_mm)
    low, high = SPACING_MM
    if not low <= min(grid.spacing_mm) <= max(grid.spacing_mm) <= high:
        raise GeometryError(f"has a spacing of ({spacing}) mm along (d, h, w); need {low:g} to {high:g} mm.")
    if float(corners_mm(grid).abs().max()) > _FARTHEST_MM:
        raise GeometryError("lies more than a kilometre from the world's origin; need positions in mm.")
    direction = grid.direction.numpy()
    cosine = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if cosine > _SHEAR_COSINE:
        angle = float(np.degrees(np.arcsin(min(1.0, cosine))))
        raise GeometryError(f"is sheared by {angle:.1f} degrees; need axes at right angles.")


def to_float32(image: StoredImage) -> NDArray[np.float32]:
    """The rescaled numbers.

    Raises:
        InputError: NaN or infinite voxels.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        data = image.array.astype(np.float32)
        if image.slope != 1.0:
            data *= np.float32(image.slope)
        if image.intercept != 0.0:
            data += np.float32(image.intercept)
        # The extremes carry any NaN or infinity, without a mask of the whole image.
        finite = bool(np.isfinite(data.min()) and np.isfinite(data.max()))
    if not finite:
        count = int(data.size - np.isfinite(data).sum())
        raise InputError(f"holds {count} voxels that are NaN or infinite; need finite numbers.")
    return data


def rescaled_dtype(image: StoredImage, data: NDArray[np.float32]) -> str:
    """Numpy name of the type to write rescaled numbers in: the file's own where nothing is rescaled."""
    if image.slope == 1.0 and image.intercept == 0.0:
        return str(image.array.dtype.newbyteorder("=").name)
    whole = float(image.slope).is_integer() and float(image.intercept).is_integer()
    return whole_number_dtype(data) if whole and image.array.dtype.kind in "iu" else "float32"


def whole_number_dtype(data: NDArray[np.float32]) -> str:
    """Numpy name of the smaller signed type, of 16 or 32 bits, that holds the numbers."""
    limits = np.iinfo(np.int16)
    return "int16" if limits.min <= data.min() and data.max() <= limits.max else "int32"
