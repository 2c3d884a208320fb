"""Pixels of DICOM slices in HU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.uid import ImplicitVRLittleEndian

from samereg.errors import FileError
from samereg.io.dicom_headers import BAD_HEADER, Slice, quiet_pydicom
from samereg.io.itk import quiet_itk

_UNDECODABLE = (InvalidDicomError, RuntimeError, MemoryError, *BAD_HEADER)


def read_hu(ordered: Sequence[Slice]) -> NDArray[np.float32]:
    """Planes (slice, row, column) in HU, each with the slope and intercept of its own header.

    Raises:
        FileError: pixels that are truncated, or in a compression that cannot be decoded.
    """
    data = np.empty((len(ordered), *ordered[0].shape), dtype=np.float32)
    decoded: dict[str, NDArray[Any]] = {}
    for plane, item in zip(data, ordered, strict=True):
        if str(item.path) not in decoded:
            # One file at a time: only a multi-frame file is needed more than once.
            decoded = {str(item.path): _decode(item)}
        plane[...] = _plane(item, decoded[str(item.path)])
    return data


def _plane(item: Slice, pixels: NDArray[Any]) -> NDArray[np.float32]:
    stored = pixels if item.frame is None else pixels[item.frame : item.frame + 1].squeeze(0)
    if stored.shape != item.shape:
        raise FileError(f"{item.path}: holds {stored.shape} pixels; its header says {item.shape}.")
    return stored.astype(np.float32) * np.float32(item.slope) + np.float32(item.intercept)


def _decode(item: Slice) -> NDArray[Any]:
    """Stored numbers of a file, before rescaling: (row, column), or (frame, row, column) of a multi-frame one."""
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(item.path, force=True)
            syntax = dataset.file_meta.setdefault("TransferSyntaxUID", ImplicitVRLittleEndian)
            try:
                pixels: NDArray[Any] = dataset.pixel_array
            except (RuntimeError, NotImplementedError):
                if item.frame is not None or not syntax.value.is_encapsulated:
                    raise
                return _decode_with_itk(item)
        return pixels if item.frame is None or pixels.ndim == 3 else pixels[None]
    except _UNDECODABLE as error:
        raise FileError(
            f"{item.path}: has pixels that are truncated or cannot be decoded ({type(error).__name__})."
        ) from error


def _decode_with_itk(item: Slice) -> NDArray[Any]:
    # ITK brings decoders of JPEG, JPEG-LS and JPEG 2000. It rescales; that is undone for the caller to repeat.
    with quiet_itk():
        rescaled = sitk.GetArrayFromImage(sitk.ReadImage(str(item.path)))
    pixels: NDArray[Any] = np.rint((rescaled.astype(np.float64) - item.intercept) / item.slope)
    return pixels.squeeze(0) if pixels.ndim == 3 else pixels
