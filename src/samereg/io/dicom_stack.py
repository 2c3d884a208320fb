"""Ordering of single slices and their common grid; pixels are used only to correct gantry tilt."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.errors import GeometryError, InputError, NotCTError
from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.volume import Volume
from samereg.io.dicom_slices import Slice
from samereg.ops.sample import sample_grid

SAME_PLACE_MM = 0.01
"""Slices closer than this along the normal are at the same position."""
_DIRECTION_TOLERANCE = 1e-3
"""Maximum difference of direction cosines due to rounding in the header."""
_SPACING_TOLERANCE = 1e-3
"""Maximum relative difference of pixel spacing due to rounding."""
_GAP_TOLERANCE, _GAP_SLACK_MM = 0.1, 0.05
"""Tolerances of slice distances from their median, relative and in mm: positions are rounded to 0.1 mm."""
_LINE_TOLERANCE_MM = 0.3
"""Maximum lateral distance of a slice from the line through all slices, in mm."""
_DRIFT_MM = 0.1
"""A stack is sheared if its ends are displaced laterally by at least this, in mm."""
_GREY = ("", "MONOCHROME1", "MONOCHROME2")
_HU = ("", "HU", "HU_MOD", "US")
"""Rescale types that may mean HU: HU, unspecified, or missing."""
_MAX_SHOWN = 8
"""Maximum number of values or slices listed in a message."""


def order_slices(source: Path, members: Sequence[Slice]) -> list[Slice]:
    """Sorts slices along their common normal.

    Args:
        source: name at the beginning of error messages.
        members: slices of one series, in any order.

    Raises:
        GeometryError: too few slices, without a position, not parallel, or of different sizes or spacing.
        InputError: colour images, or only some slices with a rescale slope and intercept.
        NotCTError: values that are not HU.
    """
    if len(members) < 2:
        raise GeometryError(f"{source}: its series holds {len(members)} slice; need at least 2.")
    for item in members:
        require_place(source, item)
        _refuse_other_numbers(source, item)
    _refuse_mixed(source, members)
    normal = members[0].normal
    return sorted(members, key=lambda item: (float(item.position_mm @ normal), str(item.path), item.frame or 0))


def require_place(source: Path, item: Slice) -> None:
    """Checks that a slice's header defines its position.

    Raises:
        GeometryError: it does not; the message names what is missing.
    """
    if item.is_placed:
        return
    where = "its frames lie" if item.frames > 1 else "it lies"
    frames = f"holds {item.frames} frames and " if item.frames > 1 else ""
    subject = "" if source == item.path else f"{item.path.name} "
    raise GeometryError(
        f"{source}: {subject}{frames}does not define where {where}; need position, orientation and pixel "
        f"spacing of every slice (missing: {', '.join(item.lacking)})."
    )


def same_place(first: Slice, second: Slice) -> bool:
    """Whether two slices of one series are at the same position along their normal."""
    return abs(float((second.position_mm - first.position_mm) @ first.normal)) < SAME_PLACE_MM


def refuse_rivals(source: Path, first: Slice, second: Slice, members: Sequence[Slice]) -> None:
    """Raises for two different slices at the same position, naming their difference and how to choose.

    Raises:
        GeometryError: always.
    """
    found = f"{source}: {first.name} and {second.name} are different slices at the same position"
    if first.instance_uid and (first.instance_uid, first.frame) == (second.instance_uid, second.frame):
        raise GeometryError(f"{found}, though both are called {first.instance_uid}; need one of them.")
    for name in first.phases:
        if first.phases[name] != second.phases.get(name):
            break
    else:
        raise GeometryError(f"{found} (several phases in one series?); need one slice at each.")
    values = sorted({item.phases.get(name, "none") for item in members}, key=lambda value: (len(value), value))
    shown = ", ".join(values[:_MAX_SHOWN]) + (", ..." if len(values) > _MAX_SHOWN else "")
    raise GeometryError(
        f"{found}: the series holds several volumes (several phases?), which differ in {name} ({shown}); need "
        f"one: put the files with one {name} into a folder of their own."
    )


def stack_grid(source: Path, ordered: Sequence[Slice]) -> Grid:
    """Grid of ordered slices; sheared if the gantry was tilted.

    Raises:
        GeometryError: slices are missing, unevenly spaced, or not in a straight line.
    """
    positions = np.stack([item.position_mm for item in ordered])
    normal = ordered[0].normal
    _refuse_gaps(source, ordered, positions @ normal)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    line = positions[0] + np.arange(len(ordered))[:, None] * step
    aside = positions - line
    aside -= np.outer(aside @ normal, normal)
    if float(np.linalg.norm(aside, axis=1).max()) > _LINE_TOLERANCE_MM:
        raise GeometryError(f"{source}: its slices do not lie above each other in a straight line.")
    slide = step - (step @ normal) * normal
    if float(np.linalg.norm(slide)) * (len(ordered) - 1) < _DRIFT_MM:
        step = step - slide
    return _grid(ordered[0], step, len(ordered))


def straighten(volume: Volume) -> Volume:
    """Resamples a stack sheared by gantry tilt onto a rectilinear grid that contains it; others are unchanged.

    Planes keep their positions; each is shifted in plane, with linear interpolation.
    """
    if volume.grid.is_orthonormal:
        return volume
    grid = _upright(volume.grid)
    data = torch.empty(1, *grid.shape)
    for plane in range(grid.shape[0]):
        index = volume.grid.to_index(slab_centres_mm(grid, plane, plane + 1))
        # Rounded onto its own plane, so that neighbours and the outside are never mixed in.
        index[..., 0] = plane
        sampled = sample_grid(volume.data[None], index[None], outside=volume.background)
        data[:, plane : plane + 1] = sampled[0]
    return replace(volume, data=data, grid=grid)


def _refuse_other_numbers(source: Path, item: Slice) -> None:
    if item.samples != 1:
        raise InputError(f"{source}: {item.name} holds {item.samples} numbers per pixel; need one.")
    if item.photometric not in _GREY:
        raise InputError(f"{source}: {item.name} is a colour image ({item.photometric}); need grey values.")
    if item.modality == "CT" and item.unit not in _HU:
        raise NotCTError(f"{source}: {item.name} holds values in {item.unit}; need Hounsfield units (HU).")


def _refuse_mixed(source: Path, members: Sequence[Slice]) -> None:
    usual = _most_common_shape(members)
    for item in members:
        if item.shape != usual.shape:
            raise GeometryError(
                f"{source}: its slices have different sizes, {item.shape} of {item.name} and {usual.shape} of "
                f"{usual.name}; need one."
            )
        if not _is_right_angled(item.directions):
            raise GeometryError(f"{source}: the rows and columns of {item.name} are not at right angles.")
        if float(item.spacing_mm.min()) <= 0.0:
            found = str(item.spacing_mm.tolist())
            raise GeometryError(f"{source}: {item.name} has a pixel spacing of {found} mm; need positive numbers.")
    usual = _most_parallel(members)
    for item in members:
        _refuse_unlike(source, item, usual)


def _refuse_unlike(source: Path, item: Slice, usual: Slice) -> None:
    if not _are_parallel(item, usual):
        raise GeometryError(
            f"{source}: its slices are not parallel ({item.name} and {usual.name}); need one stack. Move projections "
            "and views in other directions elsewhere."
        )
    if not np.allclose(item.spacing_mm, usual.spacing_mm, rtol=_SPACING_TOLERANCE, atol=0.0):
        found = f"{item.spacing_mm.tolist()} of {item.name} and {usual.spacing_mm.tolist()} of {usual.name}"
        raise GeometryError(f"{source}: its slices have different pixel spacing, {found} mm; need one.")
    if item.is_rescaled != usual.is_rescaled:
        lacking = item if usual.is_rescaled else usual
        raise InputError(
            f"{source}: {lacking.name} has no RescaleSlope and RescaleIntercept, and other slices of its series have; "
            "need them in every slice."
        )


def _most_common_shape(members: Sequence[Slice]) -> Slice:
    shape = Counter(item.shape for item in members).most_common(1)[0][0]
    return next(item for item in members if item.shape == shape)


def _most_parallel(members: Sequence[Slice]) -> Slice:
    """A slice parallel to most others, so that an error names the outlier."""
    half = len(members) / 2
    candidates = members[:_MAX_SHOWN]
    return next((item for item in candidates if sum(_are_parallel(item, m) for m in members) > half), members[0])


def _are_parallel(first: Slice, second: Slice) -> bool:
    return float(np.abs(first.directions - second.directions).max()) <= _DIRECTION_TOLERANCE


def _refuse_gaps(source: Path, ordered: Sequence[Slice], heights: NDArray[np.float64]) -> None:
    distances = np.diff(heights)
    # The lower median, so that a single gap among three slices is detected.
    usual = float(np.quantile(distances, 0.5, method="lower"))
    allowed = _GAP_TOLERANCE * usual + _GAP_SLACK_MM
    wrong = np.flatnonzero(np.abs(distances - usual) > allowed)
    if len(wrong) == 0:
        return
    place = int(wrong[0])
    low, high, distance = heights[place], heights[place + 1], float(distances[place])
    between = f"between {low:.2f} and {high:.2f} mm along the stack ({ordered[place].name}, {ordered[place + 1].name})"
    multiple = round(distance / usual)
    if multiple >= 2 and abs(distance - multiple * usual) <= allowed * multiple:
        missing = "1 slice is" if multiple == 2 else f"{multiple - 1} slices are"
        raise GeometryError(
            f"{source}: {missing} missing {between}; gaps in all: {len(wrong)}; need every "
            f"slice.{_acquisitions(ordered)}"
        )
    raise GeometryError(
        f"{source}: its slices are unevenly spaced, {usual:.2f} mm and {distance:.2f} mm {between}; need even "
        f"spacing.{_acquisitions(ordered)}"
    )


def _acquisitions(members: Sequence[Slice]) -> str:
    """Possible cause of gaps and uneven spacing: several acquisitions in one series."""
    for name in ("TemporalPositionIdentifier", "TemporalPositionIndex", "AcquisitionNumber"):
        count = len({item.phases[name] for item in members if name in item.phases})
        if 1 < count < len(members):
            return f" The series holds {count} volumes by {name}: put the files of one into a folder of their own."
    return ""


def _grid(first: Slice, step: NDArray[np.float64], count: int) -> Grid:
    along_row, down_column = first.directions
    between_rows, between_columns = first.spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = down_column / np.linalg.norm(down_column) * between_rows
    affine[:3, 2] = along_row / np.linalg.norm(along_row) * between_columns
    affine[:3, 3] = first.position_mm
    return Grid(shape=(count, *first.shape), affine=torch.from_numpy(affine))


def _upright(grid: Grid) -> Grid:
    """Rectilinear grid that covers a sheared one, with the same planes."""
    step = grid.affine[:3, 0]
    in_plane = grid.affine[:3, 1:3]
    slide_vox = torch.linalg.lstsq(in_plane, step[:, None]).solution[:, 0]
    total_vox = slide_vox * (grid.shape[0] - 1)
    affine = grid.affine.clone()
    affine[:3, 0] = step - in_plane @ slide_vox
    affine[:3, 3] += in_plane @ total_vox.clamp(max=0.0)
    height, width = (n + int(extra) for n, extra in zip(grid.shape[1:], total_vox.abs().ceil(), strict=True))
    return Grid(shape=(grid.shape[0], height, width), affine=affine)


def _is_right_angled(directions: NDArray[np.float64]) -> bool:
    return bool(np.abs(directions @ directions.T - np.eye(2)).max() < _DIRECTION_TOLERANCE)
