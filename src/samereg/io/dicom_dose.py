"""RTDOSE: dose in gray on a grid of its own."""

from pathlib import Path

import numpy as np
import pydicom
import torch
from pydicom.dataset import Dataset
from pydicom.uid import RTDoseStorage

from samereg.errors import FileError, GeometryError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.geometry.volume import Volume
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_origin import decimals, new_object, refer_to_series, save

_UNEVEN_MM = 0.01
_FULL = 2**32 - 1
_KEPT = (
    "DoseUnits",
    "DoseType",
    "DoseSummationType",
    "DoseComment",
    "NormalizationPoint",
    "TissueHeterogeneityCorrection",
)
_FRAME_OFFSETS = 0x3004000C


def read_dose(path: Path) -> Volume:
    """Dose of an RTDOSE on its own grid, in its own units; 0 beyond.

    Raises:
        FileError: damaged, truncated, or another object.
        GeometryError: frames that are unevenly spaced.
    """
    with quiet_pydicom():
        try:
            stored = pydicom.dcmread(path)
            numbers = stored.pixel_array
            numbers = numbers[None] if numbers.ndim == 2 else numbers
            grid = _grid(path, stored, numbers.shape)
            dose = numbers.astype(np.float64) * float(stored.DoseGridScaling)
        except (pydicom.errors.InvalidDicomError, RuntimeError, *BAD_HEADER) as error:
            raise FileError(f"{path}: cannot be read as an RTDOSE ({error or type(error).__name__}).") from error
    source = Source(
        label=str(path), path=path, frame_of_reference_uid=str(stored.get("FrameOfReferenceUID") or "") or None
    )
    data = torch.from_numpy(dose.astype(np.float32))[None]
    return Volume(data=data, grid=grid, background=0.0, stored_dtype="float32", source=source)


def write_dose(dose: Volume, path: Path, *, template: Path, place: Source) -> None:
    """Write a dose as RTDOSE; units, type and summation are those of another one.

    Args:
        dose: on a grid with right angles.
        path: file to write.
        template: RTDOSE that it was made from.
        place: series in whose frame of reference it lies; the object joins its patient and study.

    Raises:
        FileError: a series that did not come from DICOM, or a file that cannot be written.
    """
    made = new_object(RTDoseStorage, "RTDOSE", place, description="samereg dose")
    made.OperatorsName, made.InstanceNumber = None, 1
    stored = pydicom.dcmread(template, stop_before_pixels=True)
    for keyword in _KEPT:
        if keyword in stored:
            made[keyword] = stored[keyword]
    _describe(made, dose.grid)
    values = dose.data[0].detach().cpu().double().clamp(min=0.0).numpy()
    scaling = decimals([max(float(values.max()), 1e-9) / _FULL])[0]
    made.DoseGridScaling = scaling
    made.PixelData = np.minimum(np.rint(values / float(scaling)), _FULL).astype("<u4").tobytes()
    refer_to_series(made, (place,))
    save(made, path)


def _grid(path: Path, stored: Dataset, shape: tuple[int, ...]) -> Grid:
    along, down = np.array(stored.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    normal = np.cross(along, down)
    origin = np.array(stored.ImagePositionPatient, dtype=np.float64)
    offsets = np.array([float(value) for value in np.atleast_1d(stored.get("GridFrameOffsetVector", [0.0]))])
    if len(offsets) != shape[0]:
        raise FileError(f"{path}: has {shape[0]} frames and says where {len(offsets)} lie.")
    if offsets[0] != 0.0:
        # Then they are positions along z, the first that of the object itself.
        offsets = (offsets - offsets[0]) * np.sign(normal[2])
    step_mm = float(offsets[1] - offsets[0]) if len(offsets) > 1 else float(stored.get("SliceThickness") or 1.0)
    if step_mm == 0.0 or float(np.abs(np.diff(offsets) - step_mm).max(initial=0.0)) > _UNEVEN_MM:
        raise GeometryError(f"{path}: its frames are unevenly spaced; need even spacing.")
    row_mm, column_mm = (float(value) for value in stored.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([normal * step_mm, down * row_mm, along * column_mm], axis=1)
    affine[:3, 3] = origin
    return Grid(shape=(shape[0], shape[-2], shape[-1]), affine=torch.from_numpy(affine))


def _describe(made: Dataset, grid: Grid) -> None:
    direction, spacing_mm = grid.direction, grid.spacing_mm
    normal = torch.linalg.cross(direction[:, 2], direction[:, 1])
    step_mm = spacing_mm[0] * (1.0 if float(normal @ direction[:, 0]) > 0.0 else -1.0)
    made.ImageOrientationPatient = decimals([*direction[:, 2].tolist(), *direction[:, 1].tolist()])
    made.ImagePositionPatient = decimals(grid.origin_mm.tolist())
    made.PixelSpacing = decimals([spacing_mm[1], spacing_mm[2]])
    made.SliceThickness = decimals([spacing_mm[0]])[0]
    made.NumberOfFrames, made.Rows, made.Columns = grid.shape
    made.FrameIncrementPointer = _FRAME_OFFSETS
    made.GridFrameOffsetVector = decimals([number * step_mm for number in range(grid.shape[0])])
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 32
    made.HighBit, made.PixelRepresentation = 31, 0
    made.DoseUnits = made.get("DoseUnits") or "GY"
    made.DoseType = made.get("DoseType") or "PHYSICAL"
    made.DoseSummationType = made.get("DoseSummationType") or "PLAN"
