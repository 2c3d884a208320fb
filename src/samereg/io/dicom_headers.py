"""What single DICOM files say about the slices they hold; no pixels, no order."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

_LOG = logging.getLogger(__name__)

_PREAMBLE = 128
_MAGIC = b"DICM"
_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
"""Files that are read even without the preamble that Part 10 asks for."""
_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelRepresentation",
    "PixelPaddingValue",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
BAD_HEADER = (AttributeError, KeyError, IndexError, TypeError, ValueError, NotImplementedError, EOFError, OSError)
"""What pydicom raises, besides its own error, for bytes that are not what they should be."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Slice:
    """One plane of voxels as its header describes it.

    Attributes:
        path: file that holds it.
        frame: number of the plane in a multi-frame file, or None.
        series_uid: series that it belongs to.
        instance_uid: its own identity; two files with the same are copies.
        modality: CT, MR, ...
        is_localizer: whether it is a planning projection, not a slice.
        shape: rows and columns.
        samples: numbers per voxel.
        position_mm: centre of its first voxel, LPS, (3,); NaN if the header has none.
        directions: unit vectors along a row and down a column, (2, 3); NaN if the header has none.
        spacing_mm: between rows and between columns, (2,); NaN if the header has none.
        slope: factor from stored numbers to HU.
        intercept: summand from stored numbers to HU.
        padding: stored number that stands for "nothing measured", if any.
    """

    path: Path
    frame: int | None
    series_uid: str
    instance_uid: str
    modality: str
    is_localizer: bool
    shape: tuple[int, int]
    samples: int
    position_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    slope: float
    intercept: float
    padding: float | None

    @property
    def is_placed(self) -> bool:
        """Whether the header says where the plane lies."""
        numbers = (*self.position_mm, *self.directions.flat, *self.spacing_mm)
        return all(isfinite(number) for number in numbers)

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane, (3,)."""
        normal = np.cross(self.directions[0], self.directions[1])
        return np.asarray(normal / np.linalg.norm(normal))


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, or is named like one."""
    with path.open("rb") as stream:
        start = stream.read(_PREAMBLE + len(_MAGIC))
    return start[_PREAMBLE:] == _MAGIC or path.suffix.lower() in _DICOM_SUFFIXES


def slices_in_folder(folder: Path) -> list[Slice]:
    """Every slice of every DICOM image in a folder and its subfolders, in the order of the paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [found for path in paths for found in slices_in_file(path)]


def slices_in_file(path: Path) -> tuple[Slice, ...]:
    """The slices of one file: none if it is no DICOM image, several if it is multi-frame."""
    with quiet_pydicom():
        try:
            if not is_dicom(path):
                return ()
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=list(_TAGS), force=path.suffix.lower() in _DICOM_SUFFIXES
            )
            if "Rows" not in header or "SeriesInstanceUID" not in header:
                return ()
            return tuple(_slices(path, header))
        except (InvalidDicomError, *BAD_HEADER) as error:
            _LOG.warning("%s: skipped, its DICOM header cannot be understood (%s)", path, type(error).__name__)
            return ()


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings about values that break the standard to itself: scanners write many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _slices(path: Path, header: Dataset) -> Iterator[Slice]:
    if "PerFrameFunctionalGroupsSequence" not in header:
        # A multi-frame file without functional groups says nothing about where its frames lie.
        frames = int(header.get("NumberOfFrames") or 1)
        yield _slice(path, header, (header,), frame=None if frames == 1 else 0, placed=frames == 1)
        return
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for number, own in enumerate(header.PerFrameFunctionalGroupsSequence):
        groups = [item[0] for group in (own, shared[0]) for item in _sequences(group)]
        yield _slice(path, header, (*groups, header), frame=number, placed=True)


def _sequences(group: Dataset) -> list[Any]:
    return [element.value for element in group if element.VR == "SQ" and len(element.value) > 0]


def _slice(path: Path, header: Dataset, places: tuple[Dataset, ...], *, frame: int | None, placed: bool) -> Slice:
    position = _numbers(places if placed else (), "ImagePositionPatient", 3)
    directions = _numbers(places, "ImageOrientationPatient", 6)
    slope = _numbers(places, "RescaleSlope", 1, default=1.0)
    intercept = _numbers(places, "RescaleIntercept", 1, default=0.0)
    padding = header.get("PixelPaddingValue")
    return Slice(
        path=path,
        frame=frame,
        series_uid=str(header.SeriesInstanceUID),
        instance_uid=f"{header.get('SOPInstanceUID', path)}/{frame}",
        modality=str(header.get("Modality", "")),
        is_localizer="LOCALIZER" in (header.get("ImageType") or ()),
        shape=(int(header.Rows), int(header.Columns)),
        samples=int(header.get("SamplesPerPixel") or 1),
        position_mm=position,
        directions=directions.reshape(2, 3),
        spacing_mm=_numbers(places, "PixelSpacing", 2),
        slope=float(slope[0]),
        intercept=float(intercept[0]),
        padding=float(padding) if isinstance(padding, int) else None,
    )


def _numbers(places: tuple[Dataset, ...], name: str, count: int, *, default: float = nan) -> NDArray[np.float64]:
    """Numbers of the first place that has the element; the default if none has it."""
    for place in places:
        value = place.get(name)
        if value is None or value == "":
            continue
        numbers = np.atleast_1d(np.array(value, dtype=np.float64))
        if numbers.shape != (count,) or not bool(np.isfinite(numbers).all()):
            raise ValueError(f"{name} is {value}")
        return numbers
    return np.full(count, default)
