"""RTSTRUCT: regions of interest as closed planar contours, read as levels and written on the slices of a series."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import RTStructureSetStorage

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_origin import decimals, dicom_of, image_references, new_object, reference, save
from samereg.io.polygons import borders, signed_distance
from samereg.io.structures import Region, Structure

_LOG = logging.getLogger(__name__)

_SAME_PLANE_MM = 0.05
_FLAT_MM = 0.1
"""A contour whose points lie farther from its plane than this is no planar one."""
_FILLED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_THICKNESS_MM = 3.0
"""Of contours of which there is one plane alone in the whole object."""
_STEPS, _FINEST_MM, _COARSEST_MM = 150.0, 0.5, 2.0
"""In-plane lattice: so many steps across a structure, within these bounds."""
_PIECE = 1.5
"""Planes farther apart than this multiple of a structure's usual distance belong to separate pieces."""
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"

Contour = NDArray[np.float64]


def read_contours(path: Path) -> tuple[str, tuple[Structure, ...]]:
    """Frame of reference of an RTSTRUCT, and its structures; those without filled contours are left out.

    A contour inside another one is a hole. Between the contours of a structure its surface is interpolated; at its ends
    it reaches half a plane's distance beyond the outermost ones.

    Raises:
        FileError: damaged, or another object.
        GeometryError: contours that are not planar, or of one structure in planes that are not parallel.
        InputError: no structure with filled contours.
    """
    with quiet_pydicom():
        try:
            stored = pydicom.dcmread(path)
            regions = {int(item.ROINumber): item for item in stored.StructureSetROISequence}
            drawn = {int(item.ReferencedROINumber): item for item in stored.get("ROIContourSequence") or ()}
            seen = {int(item.ReferencedROINumber): item for item in stored.get("RTROIObservationsSequence") or ()}
            contours = {number: _points(path, drawn[number]) for number in regions if number in drawn}
        except (pydicom.errors.InvalidDicomError, *BAD_HEADER) as error:
            raise FileError(f"{path}: cannot be read as an RTSTRUCT ({error or type(error).__name__}).") from error
    contours = {number: found for number, found in contours.items() if found}
    if not contours:
        raise InputError(f"{path}: holds no structure with filled contours; need CLOSED_PLANAR contours.")
    left_out = [str(regions[number].get("ROIName", number)) for number in regions if number not in contours]
    if left_out:
        _LOG.info("%s: %d structures without filled contours are left out", path, len(left_out))
    planes = {number: _planes(path, regions[number], found) for number, found in contours.items()}
    thickness_mm = _usual_distance([each.heights for each in planes.values()])
    structures = tuple(
        _structure(regions[number], drawn[number], seen.get(number), planes[number], thickness_mm) for number in planes
    )
    return _frame_of(stored, regions), structures


def write_contours(
    structures: list[tuple[Structure, Region | None]], path: Path, *, place: Source, template: Path | None
) -> None:
    """Write structures as contours on the slices of a series.

    Names, numbers, colours, generation codes and observations are those that the structures came with.

    Args:
        structures: each with its level on a part of the series' grid, or None where it lies outside.
        path: file to write.
        place: series on whose slices the contours lie; the object joins its patient and study.
        template: RTSTRUCT whose label is kept.

    Raises:
        FileError: a series that did not come from DICOM, or a file that cannot be written.
    """
    made = new_object(RTStructureSetStorage, "RTSTRUCT", place, description="samereg structures")
    label = "" if template is None else str(pydicom.dcmread(template).get("StructureSetLabel", ""))
    made.StructureSetLabel = (label or "samereg")[:16]
    made.StructureSetDate, made.StructureSetTime = made.ContentDate, made.ContentTime
    made.ApprovalStatus, made.InstanceNumber, made.OperatorsName = "UNAPPROVED", 1, None
    made.ReferencedFrameOfReferenceSequence = Items([_referenced_frame(place)])
    regions, drawn, seen = [], [], []
    for observation, (structure, region) in enumerate(structures, start=1):
        header = Dataset.from_json(structure.header)
        regions.append(_region_item(header, structure, place))
        drawn.append(_drawn_item(structure, region, place))
        seen.append(_seen_item(header, structure, observation))
    made.StructureSetROISequence, made.ROIContourSequence = Items(regions), Items(drawn)
    made.RTROIObservationsSequence = Items(seen)
    save(made, path)


class _Planes:
    """Contours of one structure by plane, in coordinates of an upright frame of its own."""

    def __init__(self, axes: NDArray[np.float64], contours: dict[float, list[Contour]]) -> None:
        """Keep axes (rows: u, v, normal) and polygons (u, v) by height along the normal."""
        self.axes = axes
        self.contours = contours

    @property
    def heights(self) -> list[float]:
        """Heights of the planes, ascending."""
        return sorted(self.contours)


def _points(path: Path, item: Dataset) -> list[Contour]:
    found = []
    for each in item.get("ContourSequence") or ():
        if str(each.get("ContourGeometricType", "")) not in _FILLED:
            continue
        numbers = np.array([float(value) for value in each.ContourData])
        if numbers.size % 3 or not np.isfinite(numbers).all():
            raise FileError(f"{path}: holds a contour of {numbers.size} numbers; need three for each point.")
        if numbers.size >= 9:
            found.append(numbers.reshape(-1, 3))
    return found


def _planes(path: Path, region: Dataset, contours: list[Contour]) -> _Planes:
    name = str(region.get("ROIName", region.ROINumber))
    largest = max(contours, key=lambda points: float(np.ptp(points, axis=0).sum()))
    axes = _axes(largest)
    by_height: dict[float, list[Contour]] = {}
    for points in contours:
        local = points @ axes.T
        height = float(np.median(local[:, 2]))
        if float(np.abs(local[:, 2] - height).max()) > _FLAT_MM:
            raise GeometryError(
                f"{path}: {name} has contours that lie in no common stack of planes; need parallel ones."
            )
        same = next((known for known in by_height if abs(known - height) < _SAME_PLANE_MM), height)
        by_height.setdefault(same, []).append(local[:, :2])
    return _Planes(axes, by_height)


def _axes(points: Contour) -> NDArray[np.float64]:
    """Orthonormal rows u, v, normal of the plane of a contour; those of the world where it is axial."""
    _, _, rows = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    normal = rows[2] * np.sign(rows[2][np.argmax(np.abs(rows[2]))])
    main = int(np.argmax(np.abs(normal)))
    if np.abs(normal)[main] > 1.0 - 1e-6:
        normal = np.eye(3)[main]
    first = np.eye(3)[(main + 1) % 3]
    along = first - (first @ normal) * normal
    along /= np.linalg.norm(along)
    return np.stack([along, np.cross(normal, along), normal])


def _usual_distance(heights: list[list[float]]) -> float:
    gaps = np.concatenate([np.diff(each) for each in heights])
    return float(gaps.min()) if len(gaps) else _THICKNESS_MM


def _structure(
    region: Dataset, drawn: Dataset, seen: Dataset | None, planes: _Planes, thickness_mm: float
) -> Structure:
    grid, level = _level(planes, thickness_mm)
    colour = [int(value) for value in drawn.get("ROIDisplayColor") or ()]
    header = Dataset()
    for item in (region, *(() if seen is None else (seen,))):
        header.update(item)
    return Structure(
        number=int(region.ROINumber),
        name=str(region.get("ROIName", "")) or f"structure {region.ROINumber}",
        grid=grid,
        level=torch.from_numpy(level),
        colour=(colour[0], colour[1], colour[2]) if len(colour) == 3 else None,
        header=header.to_json(suppress_invalid_tags=True),
    )


def _level(planes: _Planes, thickness_mm: float) -> tuple[Grid, NDArray[np.float32]]:
    """Signed distance in the planes, interpolated between them, on a lattice of the structure's own."""
    corners = np.concatenate([polygon for each in planes.contours.values() for polygon in each])
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = float(np.clip((high - low).max() / _STEPS, _FINEST_MM, _COARSEST_MM))
    columns, rows = (np.arange(a - 2.0 * step, b + 3.0 * step, step) for a, b in zip(low, high, strict=True))
    heights = planes.heights
    maps = {height: signed_distance(planes.contours[height], rows, columns) for height in heights}
    usual_mm = float(np.median(np.diff(heights))) if len(heights) > 1 else thickness_mm
    count = max(1, round((heights[-1] - heights[0]) / thickness_mm)) + 3
    at = heights[0] - thickness_mm + np.arange(count) * thickness_mm
    if len(heights) > 1:
        # The outermost planes fall on the lattice, whatever the distances between are.
        step_mm = (heights[-1] - heights[0]) / (count - 3)
        at = heights[0] + (np.arange(count) - 1) * step_mm
    level = np.stack([_at_height(float(height), heights, maps, usual_mm) for height in at])
    affine = np.eye(4)
    normal_mm = float(at[1] - at[0])
    affine[:3, :3] = np.stack([planes.axes[2] * normal_mm, planes.axes[1] * step, planes.axes[0] * step], axis=1)
    affine[:3, 3] = planes.axes.T @ np.array([columns[0], rows[0], at[0]])
    shape = (len(at), len(rows), len(columns))
    return Grid(shape=shape, affine=torch.from_numpy(affine)), level.astype(np.float32)


def _at_height(
    height: float, heights: list[float], maps: dict[float, NDArray[np.float64]], usual_mm: float
) -> NDArray[np.float64]:
    """Signed distances at a height: between two planes of one piece linear, beyond its end less and less inside."""
    below = max((known for known in heights if known <= height + 1e-6), default=None)
    above = min((known for known in heights if known >= height - 1e-6), default=None)
    if below is not None and above is not None:
        if above - below < 1e-5:
            return maps[below]
        if above - below <= _PIECE * usual_mm:
            share = (height - below) / (above - below)
            return (1.0 - share) * maps[below] + share * maps[above]
    nearest = min(heights, key=lambda known: abs(known - height))
    far = 2.0 * abs(nearest - height) / usual_mm
    # Half a distance beyond the end the level is 0 wherever the last plane was inside.
    return np.minimum(maps[nearest], maps[nearest] * (1.0 - far))


def _frame_of(stored: Dataset, regions: dict[int, Dataset]) -> str:
    named = [str(item.get("ReferencedFrameOfReferenceUID") or "") for item in regions.values()]
    frames = [
        str(item.get("FrameOfReferenceUID") or "") for item in stored.get("ReferencedFrameOfReferenceSequence") or ()
    ]
    return next((uid for uid in (*named, *frames, str(stored.get("FrameOfReferenceUID") or "")) if uid), "")


def _referenced_frame(place: Source) -> Dataset:
    frame, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = place.series_uid or ""
    series.ContourImageSequence = image_references(place)
    study.update(reference(_DETACHED_STUDY, place.study_uid or ""))
    study.RTReferencedSeriesSequence = Items([series])
    frame.FrameOfReferenceUID = place.frame_of_reference_uid or ""
    frame.RTReferencedStudySequence = Items([study])
    return frame


def _kept(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in header:
            item[keyword] = header[keyword]
    return item


def _region_item(header: Dataset, structure: Structure, place: Source) -> Dataset:
    item = _kept(header, ("ROIDescription", "ROIGenerationAlgorithm", "ROIGenerationDescription", "ROIVolume"))
    item.pop("ROIVolume", None)  # it is another one now
    item.ROINumber, item.ROIName = structure.number, structure.name
    item.ReferencedFrameOfReferenceUID = place.frame_of_reference_uid or ""
    item.ROIGenerationAlgorithm = item.get("ROIGenerationAlgorithm") or "AUTOMATIC"
    return item


def _seen_item(header: Dataset, structure: Structure, number: int) -> Dataset:
    item = _kept(
        header,
        ("ROIObservationLabel", "ROIObservationDescription", "RTROIInterpretedType", "RTROIIdentificationCodeSequence"),
    )
    item.ObservationNumber, item.ReferencedROINumber = number, structure.number
    item.RTROIInterpretedType = item.get("RTROIInterpretedType")
    item.ROIInterpreter = None
    return item


def _drawn_item(structure: Structure, region: Region | None, place: Source) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = structure.number
    if structure.colour is not None:
        item.ROIDisplayColor = list(structure.colour)
    contours: list[Any] = [] if region is None else _contours(region, place)
    if contours:
        item.ContourSequence = Items(contours)
    return item


def _contours(region: Region, place: Source) -> list[Dataset]:
    origin, found = dicom_of(place), []
    for number, plane in enumerate(region.level.numpy()):
        if not (plane > 0.0).any():
            continue
        for polygon in borders(plane):
            index = np.concatenate([np.full((len(polygon), 1), float(number)), polygon[:, ::-1]], axis=1)
            points_mm = region.grid.to_world(torch.from_numpy(index))
            contour = Dataset()
            slice_number = region.start[0] + number
            if origin.frames == 1 and slice_number < len(origin.instance_uids):
                uid = origin.instance_uids[slice_number]
                contour.ContourImageSequence = Items([reference(origin.sop_class_uid, uid)])
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points_mm)
            contour.ContourData = decimals([round(value, 4) for value in points_mm.flatten().tolist()])
            found.append(contour)
    return found
