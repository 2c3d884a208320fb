"""SEG and RTSTRUCT wherever labels are taken: which of them a file is, its structures, and these as a label map."""

import logging
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.uid import UID, RTDoseStorage, RTStructureSetStorage, SegmentationStorage

from samereg.errors import UnspecifiedError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.geometry.volume import LabelMap
from samereg.io.dicom_contours import read_contours
from samereg.io.dicom_files import is_dicom
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_segments import read_segments
from samereg.io.structures import Structure, painted

_LOG = logging.getLogger(__name__)

DicomKind = Literal["seg", "rtstruct", "rtdose"]

_LABEL_MAPS = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""SOP class of segmentations stored as label maps."""
_KINDS: dict[str, DicomKind] = {
    SegmentationStorage: "seg",
    _LABEL_MAPS: "seg",
    RTStructureSetStorage: "rtstruct",
    RTDoseStorage: "rtdose",
}

STRUCTURE_SUFFIXES = (".dcm",)
"""What files of SEG and RTSTRUCT are called."""


def kind_of(path: Path) -> DicomKind | None:
    """Which of the objects beside images a DICOM file is; None for any other file."""
    if not path.is_file() or not is_dicom(path):
        return None
    with quiet_pydicom():
        try:
            header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True, force=True)
            return _KINDS.get(str(header.get("SOPClassUID", "")))
        except BAD_HEADER:
            return None  # then it is damaged, which its reader says


def read_structures(path: Path, kind: DicomKind) -> tuple[Structure, ...]:
    """Structures of a SEG or an RTSTRUCT.

    Raises:
        InputError: as of `read_segments` and `read_contours`.
    """
    return read_segments(path)[2] if kind == "seg" else read_contours(path)[1]


def read_structure_labels(path: Path, kind: DicomKind, grid: Grid | None) -> LabelMap:
    """A SEG on its own grid, or an RTSTRUCT on the grid of its scan, as a label map of segment or ROI numbers.

    Where structures overlap, the smaller one shows, and a warning says so.

    Args:
        path: the file.
        kind: which of the two it is.
        grid: of the scan that contours were drawn on.

    Raises:
        UnspecifiedError: contours, and no grid to fill them on.
        InputError: as of `read_segments` and `read_contours`.
    """
    if kind == "seg":
        frame, grid, structures = read_segments(path)
    else:
        frame, structures = read_contours(path)
    if grid is None:
        raise UnspecifiedError(f"{path}: holds contours, which need the scan that they were drawn on.", what="image")
    labels, overlaps = painted(structures, grid)
    if overlaps:
        _LOG.warning("%s: %d voxels belong to several structures; the smaller one shows", path, overlaps)
    source = Source(label=str(path), path=path, frame_of_reference_uid=frame or None)
    return LabelMap(data=labels.data, grid=grid, stored_dtype=labels.stored_dtype, source=source)
