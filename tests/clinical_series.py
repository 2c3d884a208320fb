"""DICOM series as a clinic has them: patient, study, frame of reference, on any grid with right angles."""

from pathlib import Path

import numpy as np
import torch
from pydicom.dataset import Dataset

from dicom_series import dataset
from samereg.geometry.grid import Grid

PATIENT = {
    "PatientName": "Muster^Eva",
    "PatientID": "4711-0815",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "PatientAddress": "Musterstrasse 7",
    "ReferringPhysicianName": "Weiss^Anna",
    "OperatorsName": "Braun^Otto",
    "AccessionNumber": "ACC-99",
}
"""Texts that must not leave DICOM."""
HELD = {name: PATIENT[name] for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")}


def uid(*numbers: int) -> str:
    return ".".join(["1.2.826.0.1.3680043.8.498.77", *map(str, numbers)])


def write_clinical(
    folder: Path, grid: Grid, *, number: int = 1, values: np.ndarray | None = None, frame: int | None = None
) -> Path:
    """A CT series of patient, study, series and frame `number`; `values` are HU."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(-900, 900, grid.shape)
    values = noise if values is None else values
    for index, plane in enumerate(np.asarray(values)):
        made = dataset(folder / "x", (plane + 1024).astype(np.int16), series=uid(number, 2))
        _describe(made, number, frame=number if frame is None else frame)
        _place(made, grid, index)
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid(number, 3, index + 1)
        made.save_as(folder / f"{number}-{index:03d}.dcm", enforce_file_format=True)
    return folder


def _describe(made: Dataset, number: int, *, frame: int) -> None:
    made.SpecificCharacterSet = "ISO_IR 100"
    for name, value in PATIENT.items():
        setattr(made, name, value)
    made.StudyInstanceUID, made.StudyID = uid(number, 1), "S1"
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = f"2026010{number}"
    made.StudyTime, made.StudyDescription = "101500", "Thorax"
    made.SeriesDescription, made.SeriesNumber = "Lung 3.0", number
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = uid(frame, 9), None
    made.Manufacturer, made.PatientPosition, made.KVP = "Scanner works", "HFS", "120"
    made.BodyPartExamined, made.ContrastBolusAgent = "CHEST", "Iodine"
    made.WindowCenter, made.WindowWidth = ["40", "-600"], ["400", "1500"]
    made.PixelPaddingValue, made.AcquisitionNumber = -2000, 1


def _place(made: Dataset, grid: Grid, index: int) -> None:
    position = grid.to_world(torch.tensor([float(index), 0.0, 0.0], dtype=torch.float64)).tolist()
    direction = grid.direction
    made.ImagePositionPatient = [f"{value:.9g}" for value in position]
    made.ImageOrientationPatient = [f"{value:.12g}" for value in (*direction[:, 2].tolist(), *direction[:, 1].tolist())]
    made.PixelSpacing = [f"{grid.spacing_mm[1]:.9g}", f"{grid.spacing_mm[2]:.9g}"]
    made.SliceThickness = f"{grid.spacing_mm[0]:.9g}"
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = "1", "-1024", "HU"
    made.InstanceNumber = index + 1
