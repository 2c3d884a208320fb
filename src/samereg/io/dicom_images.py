"""CT volumes as DICOM series derived from others: one file for each slice."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, generate_uid

from samereg.errors import GeometryError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.geometry.volume import Volume
from samereg.io.dicom_origin import (
    IMAGE,
    code,
    decimals,
    encoded,
    header_of,
    image_references,
    inherited,
    new_object,
    save,
)

_LOG = logging.getLogger(__name__)

_DEFORMED = ("125027", "DCM", "Deformed for Registration")
_PROCESSED = ("121322", "DCM", "Source image for image processing operation")
_STORED = np.iinfo(np.int16)


def write_series(volume: Volume, folder: Path, *, source: Source, place: Source) -> tuple[Path, ...]:
    """Write a resampled CT as a series of slices: a new series in the patient and study of the scan that it shows.

    Stored numbers are those of the source's slope and intercept where 16 bits can hold them, and HU otherwise.

    Args:
        volume: HU on a grid with right angles.
        folder: where the files go, numbered along the stack.
        source: scan that was resampled, whose patient, study, contrast and windows the series takes.
        place: scan on whose grid it lies, whose frame of reference the series takes.

    Returns:
        The files, in the order of the slices.

    Raises:
        GeometryError: a sheared grid.
        FileError: a scan that did not come from DICOM, or files that cannot be written.
    """
    if not volume.grid.is_orthonormal:
        raise GeometryError(f"{folder}: DICOM slices need a grid with right angles; this one is sheared.")
    _warn_of_two_patients(source, place)
    made = _slice_template(volume.grid, source, place)
    stored = _stored(volume, made)
    paths = []
    for number, plane in enumerate(stored):
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.InstanceNumber = number + 1
        index = torch.tensor([float(number), 0.0, 0.0], dtype=torch.float64)
        made.ImagePositionPatient = decimals(volume.grid.to_world(index).tolist())
        made.PixelData = plane.tobytes()
        path = folder / f"{number + 1:04d}.dcm"
        save(made, path)
        paths.append(path)
    return tuple(paths)


def _warn_of_two_patients(source: Source, place: Source) -> None:
    first, second = (str(header_of(scan).get("PatientID", "")) for scan in (source, place))
    if first != second:
        _LOG.warning("%s and %s have different patient IDs", source.label, place.label)


def _slice_template(grid: Grid, source: Source, place: Source) -> FileDataset:
    """Everything that all slices have in common."""
    made = new_object(CTImageStorage, "CT", source, description=_description(source))
    made.update(
        inherited(source, [keyword for keyword in IMAGE if keyword not in ("SeriesDescription", "SeriesNumber")])
    )
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"):
        made.pop(keyword, None)
    made.PositionReferenceIndicator = None
    made.update(inherited(place, ["FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"]))
    made.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    made.DerivationDescription = f"resampled through a registration by samereg {made.SoftwareVersions}"
    made.DerivationCodeSequence = code(*_DEFORMED)
    made["SourceImageSequence"] = encoded("SourceImageSequence", _source_images(source))
    _describe_plane(made, grid)
    for keyword in ("AcquisitionNumber", "KVP"):
        setattr(made, keyword, made.get(keyword, None))
    return made


def _source_images(source: Source) -> Items:
    items = image_references(source)
    for item in items:
        item.PurposeOfReferenceCodeSequence = code(*_PROCESSED)
    return items


def _description(source: Source) -> str:
    return f"{header_of(source).get('SeriesDescription', 'CT')} (registered)"[-64:]


def _describe_plane(made: FileDataset, grid: Grid) -> None:
    direction, spacing_mm = grid.direction, grid.spacing_mm
    made.ImageOrientationPatient = decimals([*direction[:, 2].tolist(), *direction[:, 1].tolist()])
    made.PixelSpacing = decimals([spacing_mm[1], spacing_mm[2]])
    made.SliceThickness = made.SpacingBetweenSlices = decimals([spacing_mm[0]])[0]
    made.Rows, made.Columns = grid.shape[1:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1


def _stored(volume: Volume, made: FileDataset) -> NDArray[np.int16]:
    """Stored numbers (slice, row, column); sets slope, intercept and padding of `made` to what they mean."""
    hu = volume.data[0].detach().cpu().numpy()
    slope, intercept = float(made.get("RescaleSlope") or 1.0), float(made.get("RescaleIntercept") or 0.0)
    ends = ((float(hu.min()) - intercept) / slope, (float(hu.max()) - intercept) / slope)
    if min(ends) < _STORED.min or max(ends) > _STORED.max:
        slope, intercept = 1.0, 0.0
    made.RescaleSlope, made.RescaleIntercept = decimals([slope, intercept])
    made.RescaleType = made.get("RescaleType") or "HU"
    if "PixelPaddingValue" in made:
        made.add_new("PixelPaddingValue", "SS", round((volume.background - intercept) / slope))
    numbers = np.clip(np.rint((hu.astype(np.float64) - intercept) / slope), _STORED.min, _STORED.max)
    return numbers.astype(np.int16)
