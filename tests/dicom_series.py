"""Small DICOM series and files, with whatever a test wants changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

SHAPE = (6, 9, 8)
SERIES = "1.2.826.0.1.3680043.8.498.1"
LPS = np.array([[1.0, 0, 0], [0, 1.0, 0]])
STEP = np.array([0.0, 0.0, 2.5])
ORIGIN = np.array([-30.0, -40.0, 100.0])

Change = Callable[[Dataset, int], None]


def stored_values(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2000, shape).astype(np.int16)


def meta(storage: str, syntax: str = ExplicitVRLittleEndian) -> FileMetaDataset:
    made = FileMetaDataset()
    made.MediaStorageSOPClassUID = storage
    made.MediaStorageSOPInstanceUID = generate_uid()
    made.TransferSyntaxUID = syntax
    return made


def dataset(path: Path, pixels: np.ndarray, *, storage: str = CTImageStorage, series: str = SERIES) -> FileDataset:
    made = FileDataset(str(path), {}, file_meta=meta(storage), preamble=b"\0" * 128)
    made.SOPClassUID = storage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID = series
    made.Modality = "CT"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit = 15
    made.PixelRepresentation = 1
    made.PixelData = pixels.tobytes()
    return made


def place(made: Dataset, position: np.ndarray, directions: np.ndarray = LPS) -> None:
    made.ImagePositionPatient = [f"{v:.6f}" for v in position]
    made.ImageOrientationPatient = [f"{v:.8f}" for v in directions.ravel()]
    made.PixelSpacing = ["0.8", "0.7"]
    made.RescaleSlope, made.RescaleIntercept = "1", "-1024"


def write_series(
    folder: Path,
    *,
    values: np.ndarray | None = None,
    step: np.ndarray = STEP,
    directions: np.ndarray = LPS,
    series: str = SERIES,
    change: Change | None = None,
) -> np.ndarray:
    """A series whose file names are in no order; the stored numbers are returned."""
    folder.mkdir(parents=True, exist_ok=True)
    values = stored_values() if values is None else values
    names = np.random.default_rng(1).permutation(len(values))
    for number, plane in enumerate(values):
        path = folder / f"IM{names[number]:04d}-{series[-1]}.dcm"
        made = dataset(path, plane, series=series)
        place(made, ORIGIN + number * step, directions)
        made.InstanceNumber = int(names[number])
        if change is not None:
            change(made, number)
        made.save_as(path, enforce_file_format=True)
    return values


def slice_at(folder: Path, number: int) -> Path:
    return folder / f"IM{np.random.default_rng(1).permutation(SHAPE[0])[number]:04d}-{SERIES[-1]}.dcm"


def as_modality(name: str) -> Change:
    def change(made: Dataset, _number: int) -> None:
        made.Modality = name

    return change


def moved(number: int, offset: tuple[float, float, float]) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            made.ImagePositionPatient = [str(v) for v in ORIGIN + index * STEP + np.array(offset)]

    return change


def with_value(number: int, name: str, value: Any) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            setattr(made, name, value)

    return change


def without(number: int, name: str) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            delattr(made, name)

    return change


def padded_with(value: int) -> Change:
    def change(made: Dataset, _number: int) -> None:
        made.PixelPaddingValue = value

    return change


def enhanced(path: Path, values: np.ndarray) -> None:
    """An enhanced CT whose frames are stored in no order."""
    order = np.random.default_rng(2).permutation(len(values))
    made = dataset(path, values[order], storage=EnhancedCTImageStorage)
    made.NumberOfFrames = len(values)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = LPS.ravel().tolist()
    measures.PixelSpacing = [0.8, 0.7]
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence([frame(ORIGIN + number * STEP) for number in order])
    made.save_as(path, enforce_file_format=True)


def frame(position: np.ndarray) -> Dataset:
    own, plane, rescaling = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = position.tolist()
    rescaling.RescaleSlope, rescaling.RescaleIntercept = "1", "-1024"
    own.PlanePositionSequence = Sequence([plane])
    own.PixelValueTransformationSequence = Sequence([rescaling])
    return own


def encode(path: Path, syntax: str) -> None:
    """Write a file of little endian once more, deflated or in big endian."""
    made = dcmread(path)
    made.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    if not little:
        made.PixelData = np.frombuffer(made.PixelData, "<i2").astype(">i2").tobytes()
    dcmwrite(path, made, implicit_vr=False, little_endian=little, force_encoding=True)
