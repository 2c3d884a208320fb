"""Volumes and label maps from and to files, whatever the format; directions and rescaling end here."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError, UsageError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.atomic import atomic_file
from samereg.io.dicom import read_dicom_file, read_series
from samereg.io.dicom_files import is_dicom
from samereg.io.formats import has_suffix
from samereg.io.image_format import ImageFormat
from samereg.io.itk import METAIMAGE, NRRD
from samereg.io.nifti import NIFTI
from samereg.io.stored import StoredImage, naming, require_file, require_usable_grid, rescaled_dtype, to_float32
from samereg.ops.ambient import plain_torch

IMAGE_FORMATS: tuple[ImageFormat, ...] = (NIFTI, NRRD, METAIMAGE)

IMAGE_SUFFIXES = tuple(suffix for each in IMAGE_FORMATS for suffix in each.suffixes)
"""What names of image files end in; files of DICOM have any name."""

_WRITTEN = tuple(suffix for each in IMAGE_FORMATS for suffix in each.written)


def image_format(path: Path) -> ImageFormat | None:
    """Format of an image file; None for DICOM, and for what is no image."""
    return next((each for each in IMAGE_FORMATS if each.recognise(path)), None)


def name_to_write(path: Path) -> str:
    """Name of the file that an image made of another is written to: that of the other where it can be written."""
    format = None if path.is_dir() else image_format(path)
    return path.resolve().name + IMAGE_FORMATS[0].written[0] if format is None else format.name_to_write(path)


@plain_torch()
def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Intensities and grid of an image file or of a folder of DICOM slices.

    Does not ask whether the numbers are a CT's; `image.checks` does.

    Args:
        path: NIfTI, NRRD or MetaImage file, multi-frame DICOM file, or folder that holds DICOM series.
        series: of a folder, UID of the wanted series or the beginning of one; by default the largest CT.

    Returns:
        Rescaled values as float32 (HU for a CT), the type they should be written in, and the padding value
        (-1024 unless the DICOM header names one).

    Raises:
        UsageError: `series` for a file, or a UID that does not name one series.
        FileError: missing, damaged, truncated, or not a format that is read.
        GeometryError: not one 3-D volume, or a grid that cannot be used.
        NotCTError: a folder without CT.
        InputError: NaN or infinite voxels, or voxels that are no numbers.
    """
    path = Path(path)
    if path.is_dir():
        return read_series(path, series=series)
    require_file(path)
    if series is not None:
        raise UsageError(f"{path}: is a file; a series can be chosen only from a folder of DICOM slices.")
    if image_format(path) is None and is_dicom(path):
        return read_dicom_file(path)
    image = _read(path)
    with naming(path):
        data = to_float32(image)
    dtype = rescaled_dtype(image, data)
    source = Source(label=str(path), path=path)
    return Volume(data=torch.from_numpy(data)[None], grid=image.grid, stored_dtype=dtype, source=source)


@plain_torch()
def read_grid(path: Path) -> Grid:
    """Grid of an image file or of a folder of DICOM slices; whatever its voxels hold.

    Raises:
        FileError: missing, damaged, truncated, or not a format that is read.
        GeometryError: not three-dimensional, or a grid that cannot be used.
    """
    return read_place(path)[0]


@plain_torch()
def read_place(path: Path) -> tuple[Grid, Source]:
    """Grid of an image, as of `read_grid`, and where it came from."""
    if path.is_dir() or (path.is_file() and image_format(path) is None and is_dicom(path)):
        volume = read_volume(path)
        return volume.grid, volume.source
    require_file(path)
    return _read(path).grid, Source(label=str(path), path=path)


@plain_torch()
def read_labels(path: str | Path) -> LabelMap:
    """Label values and grid of an image file.

    Returns:
        Values as int64, whatever whole-number or real type the file has.

    Raises:
        FileError: missing, damaged, truncated, or not a format that is read.
        GeometryError: not one 3-D volume, or a grid that cannot be used.
        InputError: values that are not whole numbers.
    """
    path = Path(path)
    require_file(path)
    image = _read(path)
    dtype = image.array.dtype.newbyteorder("=").name
    if image.array.dtype.kind in "iu" and (image.slope, image.intercept) == (1.0, 0.0):
        values = image.array.astype(np.int64)
    else:
        with naming(path):
            real = to_float32(image)
        values = real.astype(np.int64)
        if not np.array_equal(values, real):
            raise InputError(f"{path}: holds fractions; need a label map of whole numbers.")
        dtype = rescaled_dtype(image, real)
    source = Source(label=str(path), path=path)
    return LabelMap(data=torch.from_numpy(values), grid=image.grid, stored_dtype=dtype, source=source)


@plain_torch()
def write_volume(volume: Volume, path: str | Path, *, like: Path | None = None) -> None:
    """Write a single-channel volume in its stored type: rounded and clipped to the range of a whole-number type.

    Args:
        volume: what to write.
        path: file to write.
        like: file of the same format whose descriptive header entries are kept.

    Raises:
        UsageError: a file name whose format is not written.
        GeometryError: several channels, or a sheared grid.
        FileError: the file cannot be written.
    """
    with naming(path):
        array = stored_numbers(volume)
    _write(array, volume.grid, Path(path), like)


def stored_numbers(volume: Volume) -> NDArray[Any]:
    """Voxels (d, h, w) of a single-channel volume in its stored type, rounded and clipped as in `write_volume`.

    Raises:
        GeometryError: several channels.
    """
    if volume.data.shape[0] != 1:
        raise GeometryError(f"cannot take {volume.data.shape[0]} channels; need one.")
    dtype = np.dtype(volume.stored_dtype)
    array = volume.data[0].detach().cpu().numpy()
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # Clipped in double precision: the largest int32 is no single-precision number.
        wide = array.astype(np.float64) if dtype.itemsize > 2 else array
        array = np.clip(np.rint(wide), limits.min, _largest(limits))
    return array.astype(dtype)


@plain_torch()
def write_labels(labels: LabelMap, path: str | Path, *, like: Path | None = None) -> None:
    """Write a label map in its stored type; `like` as of `write_volume`.

    Raises:
        UsageError: a file name whose format is not written.
        InputError: a value that the stored type cannot hold.
        GeometryError: a sheared grid.
        FileError: the file cannot be written.
    """
    with naming(path):
        array = stored_label_values(labels)
    _write(array, labels.grid, Path(path), like)


def stored_label_values(labels: LabelMap) -> NDArray[Any]:
    """Values (d, h, w) of a label map in its stored type.

    Raises:
        InputError: a value that the stored type cannot hold.
    """
    values = labels.data.detach().cpu().numpy()
    array = values.astype(labels.stored_dtype)
    if not np.array_equal(array, values):
        raise InputError(f"cannot hold labels up to {values.max()} as {labels.stored_dtype}.")
    return array


def _read(path: Path) -> StoredImage:
    format = image_format(path)
    if format is None:
        raise FileError(
            f"{path}: is of no known format; need {', '.join(IMAGE_SUFFIXES)}, or a folder of DICOM slices."
        )
    try:
        return format.read(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _write(array: NDArray[Any], grid: Grid, path: Path, like: Path | None) -> None:
    format = image_format(path)
    if format is None or not has_suffix(path, format.written):
        raise UsageError(f"{path}: is of no format that is written; need {', '.join(_WRITTEN)}.")
    with naming(path):
        require_usable_grid(grid)
    with atomic_file(path) as temporary:
        try:
            format.write(array, grid, temporary, like if like is not None and like.is_file() else None)
        except FileError as error:
            raise FileError(str(error).replace(str(temporary), str(path))) from error


def _largest(limits: np.iinfo[Any]) -> int:
    # The largest 64-bit numbers are no double-precision numbers; the next lower one is.
    return int(limits.max) if limits.bits < 64 else int(np.nextafter(float(limits.max), 0.0))
