"""DICOM SEG: segments as masks on the slices of a series; binary, fractional and label-map segmentations are read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import SegmentationStorage, generate_uid

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_origin import code, decimals, dicom_of, new_object, refer_to_series, reference, save
from samereg.io.structures import Region, Structure, from_mask

_SAME_PLANE_MM = 0.01
_GAP_TOLERANCE = 0.1
_ANATOMY = ("123037004", "SCT", "Anatomical Structure")
_TISSUE = ("85756007", "SCT", "Tissue")
_DERIVED = ("113076", "DCM", "Segmentation")
_SEGMENTED = ("121322", "DCM", "Source image for image processing operation")
_HALF = 0.5


def read_segments(path: Path) -> tuple[str, Grid, tuple[Structure, ...]]:
    """Frame of reference, grid of all frames, and segments of a SEG.

    Raises:
        FileError: damaged, truncated, or another object.
        GeometryError: frames that are not parallel or not evenly spaced.
        InputError: a segmentation without segments.
    """
    with quiet_pydicom():
        try:
            stored = pydicom.dcmread(path)
            frames = stored.pixel_array
            frames = frames[None] if frames.ndim == 2 else frames
            grid, planes = _grid(path, stored, frames.shape)
            described = {int(item.SegmentNumber): item for item in stored.SegmentSequence}
            described.pop(0, None)  # the background of a label map
            shown = _frames(stored, frames, planes)
            segments = tuple(_segment(item, _mask(shown, grid, n), grid) for n, item in described.items())
        except (pydicom.errors.InvalidDicomError, RuntimeError, *BAD_HEADER) as error:
            raise FileError(f"{path}: cannot be read as a SEG ({error or type(error).__name__}).") from error
    if not segments:
        raise InputError(f"{path}: holds no segments; need at least one.")
    return str(stored.get("FrameOfReferenceUID") or ""), grid, segments


def write_segments(structures: list[tuple[Structure, Region | None]], path: Path, *, grid: Grid, place: Source) -> None:
    """Write structures as a binary SEG on the slices of a series; voxels whose centre has a level above 0 are in.

    Labels, codes, algorithm and colour are those that segments came with. Numbers are counted from 1, as the standard
    asks for.

    Args:
        structures: each with its level on a part of the grid, or None where it lies outside.
        path: file to write.
        grid: of the series.
        place: series that the segmentation is about; the object joins its patient and study.

    Raises:
        InputError: no structure reaches the grid.
        FileError: a series that did not come from DICOM, or a file that cannot be written.
    """
    frames, planes = [], []
    for number, (_, region) in enumerate(structures, start=1):
        for plane, mask in _planes_of(region, grid):
            frames.append(mask)
            planes.append((number, plane))
    if not frames:
        raise InputError(f"{path}: no structure reaches the grid of {place.label}; need at least one that does.")
    made = new_object(SegmentationStorage, "SEG", place, description="samereg segmentation")
    _describe(made, grid)
    made.SegmentSequence = Items([_segment_item(n, each) for n, (each, _) in enumerate(structures, start=1)])
    groups = [_frame_groups(number, plane, grid, place) for number, plane in planes]
    made.PerFrameFunctionalGroupsSequence = Items(groups)
    made.NumberOfFrames = len(frames)
    packed = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    refer_to_series(made, (place,))
    save(made, path)


def _grid(path: Path, stored: Dataset, shape: tuple[int, ...]) -> tuple[Grid, list[int]]:
    """Grid of the frames, with the slices that none of them shows, and the slice of each frame."""
    shared = list(stored.get("SharedFunctionalGroupsSequence") or ())[:1]
    per_frame = [(frame, *shared) for frame in stored.PerFrameFunctionalGroupsSequence]
    measures = _group(per_frame[0], "PixelMeasuresSequence")
    directions = [
        np.array(_group(frame, "PlaneOrientationSequence").ImageOrientationPatient, float) for frame in per_frame
    ]
    if max(float(np.abs(each - directions[0]).max()) for each in directions) > 1e-4:
        raise GeometryError(f"{path}: its frames are not parallel; need one stack.")
    along, down = directions[0].reshape(2, 3)
    normal = np.cross(along, down)
    positions = np.array(
        [[float(v) for v in _group(frame, "PlanePositionSequence").ImagePositionPatient] for frame in per_frame]
    )
    heights = positions @ normal
    step_mm = _step(path, heights, measures)
    planes = np.rint((heights - heights.min()) / step_mm)
    if float(np.abs(heights - heights.min() - planes * step_mm).max()) > _GAP_TOLERANCE * step_mm:
        raise GeometryError(f"{path}: its frames are unevenly spaced; need multiples of {step_mm:.3f} mm.")
    row_mm, column_mm = (float(value) for value in measures.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([normal * step_mm, down * row_mm, along * column_mm], axis=1)
    affine[:3, 3] = positions[int(np.argmin(heights))]
    whole = (int(planes.max()) + 1, shape[-2], shape[-1])
    return Grid(shape=whole, affine=torch.from_numpy(affine)), [int(plane) for plane in planes]


def _step(path: Path, heights: NDArray[np.float64], measures: Dataset) -> float:
    """Distance between slices: the smallest between frames, which leave empty slices out."""
    gaps = np.diff(np.unique(np.round(heights, 4)))
    gaps = gaps[gaps > _SAME_PLANE_MM]
    stated = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0.0)
    if not len(gaps):
        if stated <= 0.0:
            raise GeometryError(f"{path}: has one slice, and does not say how thick it is.")
        return stated
    smallest = float(gaps.min())
    share = smallest / stated if stated > 0.0 else 0.0
    is_multiple = round(share) >= 1 and abs(share - round(share)) < _GAP_TOLERANCE
    return smallest / round(share) if is_multiple else smallest


def _group(groups: tuple[Dataset, ...], name: str) -> Dataset:
    for each in groups:
        if each.get(name):
            return each[name].value[0]  # type: ignore[no-any-return]
    raise AttributeError(f"no {name}")


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of a SEG: their numbers, the slice that each lies on, and the segment that each shows.

    Attributes:
        values: stored numbers (frame, row, column).
        planes: slice of each frame.
        owners: segment of each frame; None for label maps, whose numbers say it.
        full: stored number of a voxel that is wholly inside.
    """

    values: NDArray[Any]
    planes: list[int]
    owners: list[int] | None
    full: float


def _frames(stored: Dataset, values: NDArray[Any], planes: list[int]) -> _Frames:
    kind = str(stored.get("SegmentationType", "BINARY"))
    if kind == "LABELMAP":
        return _Frames(values, planes, None, 1.0)
    shared = list(stored.get("SharedFunctionalGroupsSequence") or ())[:1]
    owners = [
        int(_group((groups, *shared), "SegmentIdentificationSequence").ReferencedSegmentNumber)
        for groups in stored.PerFrameFunctionalGroupsSequence
    ]
    full = float(stored.get("MaximumFractionalValue") or 255) if kind == "FRACTIONAL" else 1.0
    return _Frames(values, planes, owners, full)


def _mask(frames: _Frames, grid: Grid, number: int) -> NDArray[np.bool_]:
    """Voxels of one segment, where at least half of the voxel is."""
    mask = np.zeros(grid.shape, dtype=bool)
    for index, plane in enumerate(frames.planes):
        if frames.owners is None:
            mask[plane] |= frames.values[index] == number
        elif frames.owners[index] == number:
            mask[plane] |= frames.values[index] >= _HALF * frames.full
    return mask


def _segment(item: Dataset, mask: NDArray[np.bool_], grid: Grid) -> Structure:
    name = str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}")
    made = from_mask(torch.from_numpy(mask), grid, number=int(item.SegmentNumber), name=name)
    return Structure(
        number=made.number,
        name=name,
        grid=made.grid,
        level=made.level,
        header=item.to_json(suppress_invalid_tags=True),
    )


def _planes_of(region: Region | None, grid: Grid) -> list[tuple[int, NDArray[np.bool_]]]:
    """Slices that a structure has voxels in, whole."""
    if region is None:
        return []
    found = []
    first, row, column = region.start
    for number, level in enumerate(region.level.numpy()):
        inner = level > 0.0
        if inner.any():
            plane = np.zeros(grid.shape[1:], dtype=bool)
            plane[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
            found.append((first + number, plane))
    return found


def _describe(made: Dataset, grid: Grid) -> None:
    made.ImageType, made.InstanceNumber = ["DERIVED", "PRIMARY"], 1
    made.ContentLabel, made.ContentDescription, made.ContentCreatorName = "SEGMENTATION", "samereg", None
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = grid.shape[1:]
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    made.LossyImageCompression, made.SegmentationType = "00", "BINARY"
    made.SegmentsOverlap = "UNDEFINED"
    organisation = generate_uid()
    made.DimensionOrganizationSequence = Items([_with(DimensionOrganizationUID=organisation)])
    segment = _with(DimensionOrganizationUID=organisation)
    segment.DimensionIndexPointer, segment.FunctionalGroupPointer = 0x0062000B, 0x0062000A
    plane = _with(DimensionOrganizationUID=organisation)
    plane.DimensionIndexPointer, plane.FunctionalGroupPointer = 0x00200032, 0x00209113
    made.DimensionIndexSequence = Items([segment, plane])
    direction, spacing_mm = grid.direction, grid.spacing_mm
    shared = Dataset()
    directions = decimals([*direction[:, 2].tolist(), *direction[:, 1].tolist()])
    shared.PlaneOrientationSequence = Items([_with(ImageOrientationPatient=directions)])
    thickness = decimals([spacing_mm[0]])[0]
    shared.PixelMeasuresSequence = Items(
        [
            _with(
                PixelSpacing=decimals([spacing_mm[1], spacing_mm[2]]),
                SliceThickness=thickness,
                SpacingBetweenSlices=thickness,
            )
        ]
    )
    made.SharedFunctionalGroupsSequence = Items([shared])


def _with(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _segment_item(number: int, structure: Structure) -> Dataset:
    item = Dataset.from_json(structure.header) if "00620004" in json.loads(structure.header) else Dataset()
    item.SegmentNumber, item.SegmentLabel = number, structure.name[:64]
    item.SegmentAlgorithmType = item.get("SegmentAlgorithmType") or "AUTOMATIC"
    if item.SegmentAlgorithmType != "MANUAL":
        item.SegmentAlgorithmName = item.get("SegmentAlgorithmName") or "samereg"
    if not item.get("SegmentedPropertyCategoryCodeSequence"):
        item.SegmentedPropertyCategoryCodeSequence = code(*_ANATOMY)
    if not item.get("SegmentedPropertyTypeCodeSequence"):
        item.SegmentedPropertyTypeCodeSequence = code(*_TISSUE)
    return item


def _frame_groups(number: int, plane: int, grid: Grid, place: Source) -> Dataset:
    position = grid.to_world(torch.tensor([float(plane), 0.0, 0.0], dtype=torch.float64)).tolist()
    groups = Dataset()
    groups.FrameContentSequence = Items([_with(DimensionIndexValues=[number, plane + 1])])
    groups.PlanePositionSequence = Items([_with(ImagePositionPatient=decimals(position))])
    groups.SegmentIdentificationSequence = Items([_with(ReferencedSegmentNumber=number)])
    groups.DerivationImageSequence = Items([_derivation(plane, place)])
    return groups


def _derivation(plane: int, place: Source) -> Dataset:
    """The image that a slice of a segment was drawn on; of a multi-frame file, the whole of it."""
    origin = dicom_of(place)
    uid = origin.instance_uids[plane if origin.frames == 1 else 0]
    image = reference(origin.sop_class_uid, uid)
    image.PurposeOfReferenceCodeSequence = code(*_SEGMENTED)
    return _with(DerivationCodeSequence=code(*_DERIVED), SourceImageSequence=Items([image]))
