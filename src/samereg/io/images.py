"""Reading and writing of volumes and label maps in all image formats."""

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
from samereg.io.dicom_dose import read_dose
from samereg.io.dicom_files import is_dicom
from samereg.io.dicom_structures import kind_of, read_structure_labels
from samereg.io.formats import has_suffix
from samereg.io.image_format import ImageFormat
from samereg.io.itk import METAIMAGE, NRRD
from samereg.io.nifti import NIFTI
from samereg.io.stored import StoredImage, naming, require_file, require_usable_grid, rescaled_dtype, to_float32
from samereg.ops.ambient import plain_torch

IMAGE_FORMATS: tuple[ImageFormat, ...] = (NIFTI, NRRD, METAIMAGE)

IMAGE_SUFFIXES = tuple(suffix for each in IMAGE_FORMATS for suffix in each.suffixes)
"""Suffixes of image files; DICOM files may have any name."""

_WRITTEN = tuple(suffix for each in IMAGE_FORMATS for suffix in each.written)


def image_format(path: Path) -> ImageFormat | None:
    """Format of an image file; None for DICOM and for other files."""
    return next((each for each in IMAGE_FORMATS if each.recognise(path)), None)


def name_to_write(path: Path) -> str:
    """File name for an image derived from another: the same name if its format can be written."""
    format = None if path.is_dir() else image_format(path)
    if format is None and kind_of(path) is not None:
        return path.name
    return path.resolve().name + IMAGE_FORMATS[0].written[0] if format is None else format.name_to_write(path)


@plain_torch()
def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Reads the intensities and grid of an image file or of a folder of DICOM slices.

    Does not check that the values are those of a CT; `image.checks` does.

    Args:
        path: NIfTI, NRRD or MetaImage file, multi-frame DICOM file, or folder that holds DICOM series.
        series: UID of the series in a folder, or its beginning; by default the largest CT series.

    Returns:
        Rescaled values as float32 (HU for a CT), the data type for writing, and the padding value
        (-1024 unless the DICOM header names one).

    Raises:
        UsageError: `series` for a file, or a UID that does not match exactly one series.
        FileError: missing, damaged, truncated, or an unsupported format.
        GeometryError: not a single 3-D volume, or an invalid grid.
        NotCTError: a folder without CT.
        InputError: NaN or infinite voxels, or a non-numeric voxel type.
    """
    path = Path(path)
    if path.is_dir():
        return read_series(path, series=series)
    require_file(path)
    if series is not None:
        raise UsageError(f"{path}: is a file; a series can be chosen only from a folder of DICOM slices.")
    if image_format(path) is None and is_dicom(path):
        return read_dose(path) if kind_of(path) == "rtdose" else read_dicom_file(path)
    image = _read(path)
    with naming(path):
        data = to_float32(image)
    dtype = rescaled_dtype(image, data)
    source = Source(label=str(path), path=path)
    return Volume(data=torch.from_numpy(data)[None], grid=image.grid, stored_dtype=dtype, source=source)


@plain_torch()
def read_grid(path: Path) -> Grid:
    """Reads the grid of an image file or of a folder of DICOM slices, regardless of its values.

    Raises:
        FileError: missing, damaged, truncated, or an unsupported format.
        GeometryError: not three-dimensional, or an invalid grid.
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
def read_labels(path: str | Path, *, grid: Grid | None = None) -> LabelMap:
    """Reads the label values and grid of an image file, a DICOM SEG or an RTSTRUCT.

    Args:
        path: the file.
        grid: of the scan that the labels belong to; the contours of an RTSTRUCT are filled on it, and other files
            ignore it.

    Returns:
        Values as int64, whatever the data type of the file; segment or ROI numbers of DICOM objects.

    Raises:
        UnspecifiedError: an RTSTRUCT, and no grid.
        FileError: missing, damaged, truncated, or an unsupported format.
        GeometryError: not a single 3-D volume, or an invalid grid.
        InputError: values that are not whole numbers.
    """
    path = Path(path)
    require_file(path)
    kind = None if image_format(path) is not None else kind_of(path)
    if kind in ("seg", "rtstruct"):
        return read_structure_labels(path, kind, grid)
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


def read_labels_of(labels: Path, scan: Path) -> LabelMap:
    """Labels of a scan given by path, whose grid is read only where the labels are contours; see `read_labels`."""
    is_contours = image_format(labels) is None and kind_of(labels) == "rtstruct"
    return read_labels(labels, grid=read_grid(scan) if is_contours else None)


@plain_torch()
def write_volume(volume: Volume, path: str | Path, *, like: Path | None = None) -> None:
    """Writes a single-channel volume in its stored data type; integer types are rounded and clipped.

    Args:
        volume: volume to write.
        path: output file.
        like: file of the same format whose descriptive header entries are copied.

    Raises:
        UsageError: a suffix of a format that cannot be written.
        GeometryError: several channels, or a sheared grid.
        FileError: the file cannot be written.
    """
    with naming(path):
        array = stored_numbers(volume)
    _write(array, volume.grid, Path(path), like)


def stored_numbers(volume: Volume) -> NDArray[Any]:
    """Voxels (d, h, w) of a single-channel volume in its stored data type, rounded and clipped as by `write_volume`.

    Raises:
        GeometryError: several channels.
    """
    if volume.data.shape[0] != 1:
        raise GeometryError(f"cannot take {volume.data.shape[0]} channels; need one.")
    dtype = np.dtype(volume.stored_dtype)
    array = volume.data[0].detach().cpu().numpy()
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # Clipped in double precision: the maximum int32 is not representable in single precision.
        wide = array.astype(np.float64) if dtype.itemsize > 2 else array
        array = np.clip(np.rint(wide), limits.min, _largest(limits))
    return array.astype(dtype)


@plain_torch()
def write_labels(labels: LabelMap, path: str | Path, *, like: Path | None = None) -> None:
    """Writes a label map in its stored data type; for `like` see `write_volume`.

    Raises:
        UsageError: a suffix of a format that cannot be written.
        InputError: a value out of range of the stored type.
        GeometryError: a sheared grid.
        FileError: the file cannot be written.
    """
    with naming(path):
        array = stored_label_values(labels)
    _write(array, labels.grid, Path(path), like)


def stored_label_values(labels: LabelMap) -> NDArray[Any]:
    """Values (d, h, w) of a label map in its stored data type.

    Raises:
        InputError: a value out of range of the stored type.
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
            f"{path}: has an unknown format; need {', '.join(IMAGE_SUFFIXES)}, or a folder of DICOM slices."
        )
    try:
        return format.read(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _write(array: NDArray[Any], grid: Grid, path: Path, like: Path | None) -> None:
    format = image_format(path)
    if format is None or not has_suffix(path, format.written):
        raise UsageError(f"{path}: has a suffix that cannot be written; need {', '.join(_WRITTEN)}.")
    with naming(path):
        require_usable_grid(grid)
    with atomic_file(path) as temporary:
        try:
            format.write(array, grid, temporary, like if like is not None and like.is_file() else None)
        except FileError as error:
            raise FileError(str(error).replace(str(temporary), str(path))) from error


def _largest(limits: np.iinfo[Any]) -> int:
    # The maximum 64-bit integers are not representable in double precision; the next lower value is.
    return int(limits.max) if limits.bits < 64 else int(np.nextafter(float(limits.max), 0.0))
