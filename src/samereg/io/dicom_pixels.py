"""Pixels of DICOM slices in HU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from samereg.errors import FileError
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_slices import Slice
from samereg.io.itk import quiet_itk
from samereg.io.itk_files import itk_path, refuse_short_memory

_UNDECODABLE = (InvalidDicomError, RuntimeError, MemoryError, *BAD_HEADER)
_DECODED_BY_ITK = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, JPEG2000Lossless, JPEG2000)
_DECODERS = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
"""Packages with pydicom's decoders of all JPEG variants."""


def read_hu(ordered: Sequence[Slice]) -> NDArray[np.float32]:
    """Reads planes (slice, row, column) in HU, each with the slope and intercept of its own header.

    Raises:
        FileError: pixels that are truncated, or in a compression that cannot be decoded.
    """
    data = np.empty((len(ordered), *ordered[0].shape), dtype=np.float32)
    decoded: dict[str, NDArray[Any]] = {}
    for plane, item in zip(data, ordered, strict=True):
        if str(item.path) not in decoded:
            # Only the last file is cached: only multi-frame files are needed more than once.
            decoded = {str(item.path): _decode(item)}
        plane[...] = _plane(item, decoded[str(item.path)])
    return data


def _plane(item: Slice, pixels: NDArray[Any]) -> NDArray[np.float32]:
    stored = pixels if item.frame is None else pixels[item.frame : item.frame + 1].squeeze(0)
    if stored.shape != item.shape:
        raise FileError(f"{item.path}: holds {stored.shape} pixels; its header says {item.shape}.")
    return stored.astype(np.float32) * np.float32(item.slope) + np.float32(item.intercept)


def _decode(item: Slice) -> NDArray[Any]:
    """Stored values of a file before rescaling: (row, column), or (frame, row, column) if it is multi-frame."""
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(item.path, force=True)
            syntax = UID(str(dataset.file_meta.setdefault("TransferSyntaxUID", ImplicitVRLittleEndian).value))
            pixels = _stored(item, dataset, syntax)
        return pixels if item.frame is None or pixels.ndim == 3 else pixels[None]
    except _UNDECODABLE as error:
        refuse_short_memory(item.path, error)
        raise FileError(
            f"{item.path}: has pixels that are truncated or cannot be decoded ({type(error).__name__})."
        ) from error


def _stored(item: Slice, dataset: Dataset, syntax: UID) -> NDArray[Any]:
    if not syntax.is_transfer_syntax:
        raise FileError(f"{item.path}: has the transfer syntax {syntax}, which is not one that can be decoded.")
    if not syntax.is_encapsulated:
        _require_low_bits(item, dataset)
        _require_fitting(item, dataset)
    try:
        pixels: NDArray[Any] = dataset.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        if item.frame is None and syntax in _DECODED_BY_ITK:
            return _decode_with_itk(item)
        if not syntax.is_encapsulated or _has_decoder(syntax):
            raise
        raise FileError(
            f"{item.path}: is compressed as {syntax.name}, which no installed package decodes; need: "
            f"python -m pip install {_DECODERS}"
        ) from error
    return pixels


def _require_fitting(item: Slice, dataset: Dataset) -> None:
    """Checks that there are fewer than twice as many pixel bytes as declared; more are damage, not padding."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    needed = item.shape[0] * item.shape[1] * item.samples * frames * int(dataset.BitsAllocated) // 8
    present = len(dataset.get("PixelData", b""))
    if needed and present >= 2 * needed and present > needed + 1:
        raise FileError(f"{item.path}: holds {present} bytes of pixels; its header says {needed}: it is damaged.")


def _require_low_bits(item: Slice, dataset: Dataset) -> None:
    """Checks that values are stored in the lowest bits, as decoding assumes."""
    stored, highest = int(dataset.BitsStored), int(dataset.get("HighBit", dataset.BitsStored - 1))
    if highest >= stored:
        raise FileError(
            f"{item.path}: keeps {stored} bits for each pixel, with bit {highest} as the highest; need bit "
            f"{stored - 1}, as the DICOM standard does."
        )


def _has_decoder(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _decode_with_itk(item: Slice) -> NDArray[Any]:
    # ITK rescales, which is undone here because the caller rescales.
    with quiet_itk(), itk_path(item.path) as name:
        rescaled = sitk.GetArrayFromImage(sitk.ReadImage(name))
    pixels: NDArray[Any] = np.rint((rescaled.astype(np.float64) - item.intercept) / item.slope)
    return pixels.squeeze(0) if pixels.ndim == 3 else pixels
