"""Stored form of an image, and checks shared by all image formats."""

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
"""Supported voxel types, by their NumPy names."""

SPACING_MM = (0.005, 100.0)
"""Valid voxel spacing in mm, from micro-CT to thick slices; other values mean damage or another unit."""
_FARTHEST_MM = 1e6
"""Maximum distance in mm from the world origin; no scan lies farther, and precision degrades."""
_SHEAR_COSINE = 1e-3
"""Maximum cosine between orthogonal axes, to allow for rounding: 0.06 degrees."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredImage:
    """Stored values of an image file: value = slope * array + intercept.

    Attributes:
        array: (d, h, w), in the data type of the file.
        grid: where the voxels lie.
        slope: rescale slope.
        intercept: rescale intercept.
    """

    array: NDArray[Any]
    grid: Grid
    slope: float = 1.0
    intercept: float = 0.0


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Context that prefixes messages of input errors with the name of a file or image."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def require_file(path: Path) -> None:
    """Checks that a path is a non-empty file.

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
    """Checks that sizes are those of a single-channel 3-D volume, and returns three of them in the file's order.

    Further axes of size one are dropped.

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
    """Checks that a voxel type is a real number of at most 64 bits.

    Raises:
        InputError: complex, colour, bit or extended types.
    """
    if name not in NUMBER_TYPES:
        raise InputError(f"{path}: holds voxels of type {name}; need whole or real numbers of 8 to 64 bits.")


def require_usable_grid(grid: Grid) -> None:
    """Checks that a grid can be stored in the supported formats and is plausibly in mm.

    Raises:
        GeometryError: shear, or implausible spacing or position.
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
    """Rescales the stored values to float32.

    Raises:
        InputError: NaN or infinite voxels.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        data = image.array.astype(np.float32)
        if image.slope != 1.0:
            data *= np.float32(image.slope)
        if image.intercept != 0.0:
            data += np.float32(image.intercept)
        # Minimum and maximum propagate NaN and infinity, without a mask of the whole image.
        finite = bool(np.isfinite(data.min()) and np.isfinite(data.max()))
    if not finite:
        count = int(data.size - np.isfinite(data).sum())
        raise InputError(f"holds {count} voxels that are NaN or infinite; need finite numbers.")
    return data


def rescaled_dtype(image: StoredImage, data: NDArray[np.float32]) -> str:
    """NumPy name of the data type for writing rescaled values: that of the file if there is no rescaling."""
    if image.slope == 1.0 and image.intercept == 0.0:
        return str(image.array.dtype.newbyteorder("=").name)
    whole = float(image.slope).is_integer() and float(image.intercept).is_integer()
    return whole_number_dtype(data) if whole and image.array.dtype.kind in "iu" else "float32"


def whole_number_dtype(data: NDArray[np.float32]) -> str:
    """NumPy name of the smallest of int16 and int32 that holds the values."""
    limits = np.iinfo(np.int16)
    return "int16" if limits.min <= data.min() and data.max() <= limits.max else "int32"
