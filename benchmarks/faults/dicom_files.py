"""A series of DICOM slices and a multi-frame file as damaged bases, and pydicom as the other reader."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from benchmarks.faults.format import Format, Unreadable, Value
from benchmarks.faults.image_files import read_image
from benchmarks.faults.mutations import Field
from benchmarks.faults.splices import Files
from samereg.io.images import read_volume

_SERIES = "1.2.826.0.1.3680043.8.498.1"
_SHAPE = (4, 5, 6)
_STEP_MM = 2.5
_ORIGIN = (-30.0, -40.0, 100.0)
_MULTIFRAME = "frames.dcm"
_SHORT_TEXT = frozenset(("DS", "IS", "CS", "UI", "LO", "SH"))
_TEXTS = (b"", b"0 ", b"-1", b"1e", b"nan ", b"inf ", b"1e300 ", b"99999999", b"0\\0\\0 ", b"1\\2 ", b"x ", b"\xff\xff")
_SHORTS = tuple(int(n).to_bytes(2, "little") for n in (0, 1, 2, 7, 8, 12, 16, 32, 300, 65535))


def make_series(folder: Path) -> None:
    """Four slices whose names are in no order."""
    for number, plane in enumerate(_numbers()):
        made = _dataset(plane, CTImageStorage, number)
        _place(made, number)
        made.PixelSpacing = ["0.8", "0.7"]
        made.RescaleSlope, made.RescaleIntercept = "1", "-1024"
        made.save_as(folder / f"IM{(7 * number) % 11:02d}.dcm", enforce_file_format=True)


def make_multiframe(folder: Path) -> None:
    """An enhanced CT of four frames."""
    made = _dataset(_numbers(), EnhancedCTImageStorage, 0)
    made.NumberOfFrames = _SHAPE[0]
    shared = Dataset()
    measures, rescale = Dataset(), Dataset()
    measures.PixelSpacing = ["0.8", "0.7"]
    rescale.RescaleSlope, rescale.RescaleIntercept = "1", "-1024"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number in range(_SHAPE[0]):
        own, group = Dataset(), Dataset()
        _place(own, number)
        position, orientation = Dataset(), Dataset()
        position.ImagePositionPatient = own.ImagePositionPatient
        orientation.ImageOrientationPatient = own.ImageOrientationPatient
        group.PlanePositionSequence = Sequence([position])
        group.PlaneOrientationSequence = Sequence([orientation])
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    made.save_as(folder / _MULTIFRAME, enforce_file_format=True)


def _numbers() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(0, 2000, _SHAPE).astype(np.int16)


def _dataset(pixels: NDArray[np.int16], storage: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.UID(storage)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{_SERIES}.{number + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = storage, f"{_SERIES}.{number + 1}"
    made.SeriesInstanceUID, made.Modality, made.ImageType = _SERIES, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    made.PixelData = pixels.tobytes()
    return made


def _place(made: Dataset, number: int) -> None:
    made.ImagePositionPatient = [str(value) for value in (_ORIGIN[0], _ORIGIN[1], _ORIGIN[2] + _STEP_MM * number)]
    made.ImageOrientationPatient = ["1", "0", "0", "0", "0.8", "0.6"]
    # Slices are stacked along their normal.
    made.ImagePositionPatient[1] = str(round(_ORIGIN[1] - 0.6 * _STEP_MM * number, 6))
    made.ImagePositionPatient[2] = str(round(_ORIGIN[2] + 0.8 * _STEP_MM * number, 6))


def dicom_fields(files: Files) -> tuple[Field, ...]:
    """Values of elements at the top level, each with its length, so that longer ones may follow."""
    return tuple(field for name, content in files.items() for field in _fields_of(name, content))


def _fields_of(name: str, content: bytes) -> Iterator[Field]:
    position = 132
    while position + 8 <= len(content):
        vr = content[position + 4 : position + 6].decode("latin-1")
        if vr in ("OB", "OW", "SQ", "UN", "UT", "OF"):
            position += 12 + int.from_bytes(content[position + 8 : position + 12], "little") % len(content)
            continue
        length = int.from_bytes(content[position + 6 : position + 8], "little")
        if vr in _SHORT_TEXT or vr == "US":
            choices = _SHORTS if vr == "US" else _TEXTS
            whole = tuple(len(new).to_bytes(2, "little") + new for new in choices)
            yield Field(file=name, at=position + 6, size=2 + length, choices=whole)
        position += 8 + length


def series_by_pydicom(folder: Path) -> Value:
    """Every file of the folder has to be a slice of one stack, and every number finite."""
    slices: list[Any] = []
    for path in sorted(folder.iterdir()):
        header = pydicom.dcmread(path)
        slices.append(header)
    # A slice that says it is of another series is of another series; the largest one is read.
    series = Counter(str(header.SeriesInstanceUID) for header in slices).most_common(1)[0][0]
    chosen = [header for header in slices if str(header.SeriesInstanceUID) == series]
    return _stack(
        [(_floats(header.ImagePositionPatient, 3), header, _hu(header, header.pixel_array)) for header in chosen]
    )


def multiframe_by_pydicom(folder: Path) -> Value:
    """The same of a multi-frame file."""
    header = pydicom.dcmread(folder / _MULTIFRAME)
    shared = header.SharedFunctionalGroupsSequence[0]
    pixels = header.pixel_array
    frames = []
    for number, group in enumerate(header.PerFrameFunctionalGroupsSequence):
        flat = Dataset()
        for source in (group, shared):
            for element in source:
                for inner in element.value[0]:
                    flat.add(inner)
        frames.append((_floats(flat.ImagePositionPatient, 3), flat, _hu(flat, pixels[number])))
    if len(frames) != len(pixels):
        raise Unreadable("frames without a place")
    return _stack(frames)


def _floats(value: Any, count: int) -> NDArray[np.float64]:
    numbers = np.array([float(each) for each in value])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise Unreadable("not numbers")
    return numbers


def _hu(header: Any, pixels: NDArray[Any]) -> NDArray[np.float64]:
    slope, intercept = float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0)
    values: NDArray[np.float64] = pixels.astype(np.float64) * slope + intercept
    return values


def _stack(slices: list[tuple[NDArray[np.float64], Any, NDArray[np.float64]]]) -> Value:
    directions = _floats(slices[0][1].ImageOrientationPatient, 6).reshape(2, 3)
    spacing = _floats(slices[0][1].PixelSpacing, 2)
    normal = np.cross(directions[0], directions[1])
    ordered = sorted(slices, key=lambda each: float(each[0] @ normal))
    step = (ordered[-1][0] - ordered[0][0]) / (len(ordered) - 1)
    step = step @ normal / (normal @ normal) * normal
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = directions[1] / np.linalg.norm(directions[1]) * spacing[0]
    affine[:3, 2] = directions[0] / np.linalg.norm(directions[0]) * spacing[1]
    affine[:3, 3] = ordered[0][0]
    return {"voxels": np.stack([values for _, _, values in ordered]), "affine": affine}


def _read_series(folder: Path) -> Value:
    volume = read_volume(folder)
    return {"voxels": volume.data[0].numpy(), "affine": volume.grid.affine.numpy()}


_BY_PYDICOM = (
    "what pydicom reads of every file of the folder, none of them left out; plain pixels may differ where bytes do"
)

DICOM_FORMATS: tuple[Format, ...] = (
    Format(
        name="dicom series",
        make=make_series,
        read=_read_series,
        reference=series_by_pydicom,
        legitimate=_BY_PYDICOM,
        fields=dicom_fields,
    ),
    Format(
        name="dicom multi-frame",
        make=make_multiframe,
        read=lambda folder: read_image(folder, _MULTIFRAME),
        reference=multiframe_by_pydicom,
        legitimate=_BY_PYDICOM,
        fields=dicom_fields,
    ),
)
