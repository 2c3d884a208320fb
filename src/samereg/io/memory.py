"""Conversion of volumes and label maps from and to in-memory images of other libraries."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike, NDArray

from samereg.errors import InputError, UsageError
from samereg.geometry.source import Source
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, read_volume, stored_label_values, stored_numbers
from samereg.io.itk import grid_of, place_on_grid
from samereg.io.nifti import from_ras, to_ras
from samereg.io.stored import (
    StoredImage,
    naming,
    require_number_type,
    require_usable_grid,
    require_volume,
    rescaled_dtype,
    to_float32,
)
from samereg.ops.ambient import plain_torch

ImageLike = str | Path | Volume | LabelMap | sitk.Image | SpatialImage | tuple[ArrayLike, ArrayLike]
"""Accepted images: a path; a samereg value; an image of SimpleITK (LPS) or nibabel (RAS); or an array
(i, j, k) with the 4 x 4 affine from its voxels to RAS+ mm, as in nibabel."""


@plain_torch()
def to_volume(image: ImageLike, *, name: str = "the image") -> Volume:
    """Converts an image of any accepted type to a volume.

    Args:
        image: see `ImageLike`; values unchanged, in HU for a CT. Its array is copied.
        name: name at the beginning of messages if there is no path.

    Raises:
        UsageError: not an accepted type.
        InputError: not one 3-D volume of finite numbers on a valid grid; for a path see `read_volume`.
    """
    if isinstance(image, str | Path):
        return read_volume(image)
    if isinstance(image, Volume):
        return image
    with naming(name):
        stored = _stored(image, name)
        data = to_float32(stored)
        dtype = rescaled_dtype(stored, data)
    source = Source(label=name)
    return Volume(data=torch.from_numpy(data)[None], grid=stored.grid, stored_dtype=dtype, source=source)


@plain_torch()
def to_labels(image: ImageLike, *, name: str = "the label map") -> LabelMap:
    """Converts a label map of any accepted type.

    Raises:
        UsageError: not an accepted type.
        InputError: not one 3-D volume of whole numbers on a valid grid; for a path see `read_labels`.
    """
    if isinstance(image, str | Path):
        return read_labels(image)
    if isinstance(image, LabelMap):
        return image
    with naming(name):
        stored = _stored(image, name)
        with np.errstate(invalid="ignore"):
            values = stored.array.astype(np.int64)
        if not np.array_equal(values, stored.array):
            raise InputError("holds fractions; need a label map of whole numbers.")
    source = Source(label=name)
    return LabelMap(
        data=torch.from_numpy(values), grid=stored.grid, stored_dtype=stored.array.dtype.name, source=source
    )


@plain_torch()
def of_kind(value: Volume | LabelMap, kind: ImageLike) -> ImageLike:
    """Converts a volume or label map to the type of another image.

    Args:
        value: single-channel volume or label map; converted to its stored data type.
        kind: an image of the target type; for a path, samereg's own type is returned.
    """
    if isinstance(kind, str | Path | Volume | LabelMap):
        return value
    array = stored_numbers(value) if isinstance(value, Volume) else stored_label_values(value)
    if isinstance(kind, sitk.Image):
        image = sitk.GetImageFromArray(array)
        place_on_grid(image, value.grid)
        return image
    if isinstance(kind, SpatialImage):
        return _to_nibabel(array, to_ras(value.grid), kind)
    return np.ascontiguousarray(array.T), to_ras(value.grid)


def _to_nibabel(array: NDArray[Any], affine_ras: NDArray[np.float64], kind: SpatialImage) -> SpatialImage:
    made = type(kind) if isinstance(kind, nib.Nifti1Pair) else nib.Nifti1Image
    image: SpatialImage = made(array.T, affine_ras, dtype=array.dtype)
    return image


def _stored(image: object, name: str) -> StoredImage:
    stored = _as_given(image, name)
    require_number_type(name, stored.array.dtype.name)
    require_usable_grid(stored.grid)
    return stored


def _as_given(image: object, name: str) -> StoredImage:
    if isinstance(image, Volume | LabelMap):
        numbers = image.data[0] if isinstance(image, Volume) else image.data
        return StoredImage(array=numbers.detach().cpu().numpy(), grid=image.grid)
    if isinstance(image, sitk.Image):
        require_volume(name, tuple(image.GetSize()), components=image.GetNumberOfComponentsPerPixel())
        if image.GetDimension() != 3:
            raise InputError(f"is {image.GetDimension()}-D; need a 3-D image (take its only volume out first).")
        return StoredImage(array=sitk.GetArrayFromImage(image), grid=grid_of(image))
    if isinstance(image, SpatialImage):
        return _with_affine(np.asanyarray(image.dataobj), np.asarray(image.affine), name)
    if isinstance(image, tuple) and len(image) == 2:
        return _with_affine(np.asarray(image[0]), np.asarray(image[1]), name)
    raise UsageError(
        f"{name}: is a {type(image).__name__}; need a path, a SimpleITK or nibabel image, or (array, 4 x 4 affine)."
    )


def _with_affine(array: NDArray[Any], affine_ras: NDArray[Any], name: str) -> StoredImage:
    if affine_ras.shape != (4, 4):
        raise InputError(f"has an affine of shape {affine_ras.shape}; need 4 x 4, from voxels to RAS mm.")
    width, height, depth = require_volume(name, array.shape)
    numbers = array.reshape(width, height, depth).astype(array.dtype.newbyteorder("="))
    grid = from_ras(affine_ras.astype(np.float64), (depth, height, width))
    return StoredImage(array=np.ascontiguousarray(numbers.T), grid=grid)
