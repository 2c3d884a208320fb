"""Parsing of the headers of single DICOM files into slices, without pixels or order."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from samereg.io.dicom_files import files_below, is_dicom
from samereg.io.dicom_slices import GEOMETRY, Damaged, Slice

_CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_GEOMETRY = dict(
    zip(GEOMETRY, ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"), strict=True)
)
_RESCALING = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType"), "PixelValueTransformationSequence")
_PHASES = {
    "TemporalPositionIdentifier": "",
    "TemporalPositionIndex": "FrameContentSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "AcquisitionNumber": "",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "KVP": "CTXRayDetailsSequence",
    "TriggerTime": "",
    "AcquisitionTime": "",
    "ContentTime": "",
}
"""Elements that distinguish several volumes of one series, the most specific first."""
_GROUPS: Mapping[str, str] = {**_GEOMETRY, **_RESCALING, **_PHASES, "FrameType": "CTImageFrameTypeSequence"}
"""Functional group of a multi-frame file in which Part 3 puts each element; private groups may repeat them."""
_TAGS = (
    *(name for name in _GROUPS if name != "FrameType"),
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "BitsAllocated",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
BAD_HEADER = (
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
)
"""Exceptions that pydicom raises for invalid bytes, besides its own."""


def headers_in_folder(folder: Path) -> tuple[list[Slice], list[Damaged]]:
    """All slices of the DICOM images below a folder, in the order of the paths, and the damaged files.

    Files that are not DICOM, and DICOM objects without an image, are skipped.

    Raises:
        FileError: a file or folder that cannot be opened.
    """
    slices: list[Slice] = []
    damaged: list[Damaged] = []
    for path in files_below(folder):
        found = read_header(path) if is_dicom(path) else ()
        if isinstance(found, Damaged):
            damaged.append(found)
        else:
            slices += found
    return slices, damaged


def read_header(path: Path) -> tuple[Slice, ...] | Damaged:
    """Slices of one DICOM file: none if it is not an image, several if it is multi-frame."""
    header = Dataset()
    with quiet_pydicom():
        try:
            with path.open("rb") as stream:
                header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
                is_cut = stream.tell() >= path.stat().st_size and not _is_deflated(header)
            if not _is_image(header):
                return ()
            if is_cut or "Rows" not in header:
                return _damaged(path, header, "is cut off before its pixels")
            return tuple(_slices(path, header))
        except (InvalidDicomError, *BAD_HEADER) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return _damaged(
                path, header, f"has a DICOM header that cannot be understood ({cause or type(error).__name__})"
            )


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Context that suppresses pydicom's warnings about values that violate the standard, which scanners write often."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_deflated(header: Dataset) -> bool:
    # Such a file is decompressed entirely before its pixels are located.
    return str(header.file_meta.get("TransferSyntaxUID", "")) == DeflatedExplicitVRLittleEndian


def _is_image(header: Dataset) -> bool:
    """Whether a header is an image's; reports, plans, contours and indices are not."""
    uid = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    if "Rows" in header:
        return True
    kind = UID(str(uid or ""))
    # Private objects have a UID of their own, but name their modality; what names neither may have been a slice.
    if kind.name == kind and not header.get("Modality"):
        raise ValueError("it does not say what it holds")
    return kind.name.endswith("Image Storage")


def _damaged(path: Path, header: Dataset, reason: str) -> Damaged:
    try:
        uid = _text(header, "SeriesInstanceUID")
    except BAD_HEADER:
        # If this is the damaged element, the file may belong to any series.
        uid = ""
    return Damaged(path=path, series_uid=uid, reason=reason)


def _slices(path: Path, header: Dataset) -> Iterator[Slice]:
    frames = int(header.get("NumberOfFrames") or 1)
    if "PerFrameFunctionalGroupsSequence" not in header:
        # Without functional groups, the positions of the frames of a multi-frame file are unknown.
        yield _slice(path, header, (), frame=None if frames == 1 else 0)
        return
    own = header.PerFrameFunctionalGroupsSequence
    if len(own) != frames:
        raise ValueError(f"it has {frames} frames and describes {len(own)}")
    shared = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    for number, groups in enumerate(own):
        yield _slice(path, header, (groups, *shared), frame=number)


def _slice(path: Path, header: Dataset, groups: tuple[Dataset, ...], *, frame: int | None) -> Slice:
    frames = int(header.get("NumberOfFrames") or 1)
    # One position in the header of several frames cannot apply to each.
    place = (header,) if frames == 1 else ()
    slope = float(_numbers(groups, (header,), "RescaleSlope", 1)[0])
    intercept = float(_numbers(groups, (header,), "RescaleIntercept", 1)[0])
    if slope == 0.0:
        raise ValueError("RescaleSlope is 0")
    kind = (*(header.get("ImageType") or ()), *(_element(groups, (), "FrameType") or ()))
    return Slice(
        path=path,
        frame=frame,
        frames=frames,
        study_uid=_text(header, "StudyInstanceUID"),
        series_uid=_text(header, "SeriesInstanceUID"),
        frame_of_reference_uid=_text(header, "FrameOfReferenceUID"),
        instance_uid=_text(header, "SOPInstanceUID"),
        modality=_modality(header),
        is_localizer="LOCALIZER" in kind,
        shape=(int(header.Rows), int(header.Columns)),
        samples=int(header.get("SamplesPerPixel") or 1),
        photometric=_text(header, "PhotometricInterpretation"),
        position_mm=_numbers(groups, place, "ImagePositionPatient", 3),
        directions=_numbers(groups, (header,), "ImageOrientationPatient", 6).reshape(2, 3),
        spacing_mm=_numbers(groups, (header,), "PixelSpacing", 2),
        is_rescaled=isfinite(slope) and isfinite(intercept),
        slope=slope if isfinite(slope) else 1.0,
        intercept=intercept if isfinite(intercept) else 0.0,
        unit=str(_element(groups, (header,), "RescaleType") or ""),
        padding=_padding(header),
        phases={name: str(value) for name in _PHASES if (value := _element(groups, (header,), name)) is not None},
    )


def _text(header: Dataset, name: str) -> str:
    return str(header.get(name) or "")


def _modality(header: Dataset) -> str:
    return _text(header, "Modality") or ("CT" if header.get("SOPClassUID") in _CT_CLASSES else "")


def _padding(header: Dataset) -> tuple[float, float] | None:
    """Range of the padding values, converted to the data type of the pixels."""
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = header.get("PixelPaddingRangeLimit")
    bits = int(header.get("BitsAllocated") or 16)
    lowest = -(1 << bits - 1) if header.get("PixelRepresentation") == 1 else 0
    # Some scanners write the value with a different signedness from the pixels.
    ends = [(end - lowest) % (1 << bits) + lowest for end in (first, last) if isinstance(end, int)]
    return float(min(ends)), float(max(ends))


def _element(groups: tuple[Dataset, ...], places: tuple[Dataset, ...], name: str) -> Any:
    """Value of an element from the first functional group or other dataset that has it."""
    wanted = _GROUPS[name]
    inside = [group[wanted].value[0] for group in groups if wanted and wanted in group and len(group[wanted].value) > 0]
    for place in (*inside, *places):
        value = place.get(name)
        if value is not None and value != "":
            return value
    return None


def _numbers(groups: tuple[Dataset, ...], places: tuple[Dataset, ...], name: str, count: int) -> NDArray[np.float64]:
    """Values of an element; NaN if it is missing."""
    value = _element(groups, places, name)
    if value is None:
        return np.full(count, nan)
    numbers = np.atleast_1d(np.array(value, dtype=np.float64))
    if numbers.shape != (count,) or not bool(np.isfinite(numbers).all()):
        raise ValueError(f"{name} is {value}")
    return numbers
