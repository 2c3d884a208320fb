"""Single slices put in order and onto one grid, or refused by name; no pixels but to undo a gantry's tilt."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.errors import GeometryError, InputError
from samereg.geometry.grid import Grid, slab_centres_mm
from samereg.geometry.volume import Volume
from samereg.io.dicom_headers import Slice
from samereg.ops.sample import sample_grid

SAME_PLACE_MM = 0.01
"""Slices nearer than this along the normal lie at one place; no scanner spaces them so."""
_DIRECTION_TOLERANCE = 1e-3
"""Largest difference of direction cosines that is rounding of the header's decimals."""
_SPACING_TOLERANCE = 1e-3
"""Largest relative difference of pixel spacing that is rounding."""
_GAP_TOLERANCE, _GAP_SLACK_MM = 0.1, 0.05
"""How far one slice distance may be from the median, relative and in mm: positions are rounded to 0.1 mm."""
_LINE_TOLERANCE_MM = 0.3
"""How far a slice may be from the straight line through all of them, sideways."""
_DRIFT_MM = 0.1
"""A stack that slides sideways by less than this from end to end is not sheared."""


def order_slices(source: Path, members: Sequence[Slice]) -> list[Slice]:
    """Slices sorted along their common normal, copies of one file dropped.

    Args:
        source: what error messages begin with.
        members: slices of one series, in any order.

    Raises:
        GeometryError: too few, without a place, not parallel, or of different sizes or spacing.
        InputError: colour images.
    """
    unique = list({item.instance_uid: item for item in members}.values())
    if len(unique) < 2:
        raise GeometryError(f"{source}: its series holds {len(unique)} slice; need at least 2.")
    for item in unique:
        if not item.is_placed:
            raise GeometryError(
                f"{source}: {item.path.name} does not say where it lies; need position, orientation and pixel "
                "spacing in every slice."
            )
        if item.samples != 1:
            raise InputError(f"{source}: {item.path.name} holds {item.samples} numbers per pixel; need one.")
    _refuse_mixed(source, unique)
    normal = unique[0].normal
    return sorted(unique, key=lambda item: (float(item.position_mm @ normal), item.instance_uid))


def same_place(first: Slice, second: Slice) -> bool:
    """Whether two slices of one series lie at one place along their normal."""
    return abs(float((second.position_mm - first.position_mm) @ first.normal)) < SAME_PLACE_MM


def stack_grid(source: Path, ordered: Sequence[Slice]) -> Grid:
    """Grid of slices in order; sheared, if the gantry was tilted.

    Raises:
        GeometryError: slices missing, unevenly spaced, or not in one line.
    """
    positions = np.stack([item.position_mm for item in ordered])
    normal = ordered[0].normal
    _refuse_gaps(source, positions @ normal)
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
    """A stack sheared by gantry tilt on a grid with right angles that holds all of it; others unchanged.

    Planes stay where they are; each is shifted within itself, linearly interpolated.
    """
    if volume.grid.is_orthonormal:
        return volume
    grid = _upright(volume.grid)
    data = torch.empty(1, *grid.shape)
    for plane in range(grid.shape[0]):
        index = volume.grid.to_index(slab_centres_mm(grid, plane, plane + 1))
        # Exactly on its own plane: rounding must not mix in a neighbour, or at the ends the outside.
        index[..., 0] = plane
        sampled = sample_grid(volume.data[None], index[None], outside=volume.background)
        data[:, plane : plane + 1] = sampled[0]
    return Volume(data=data, grid=grid, background=volume.background, stored_dtype=volume.stored_dtype)


def _refuse_mixed(source: Path, members: Sequence[Slice]) -> None:
    first = members[0]
    shapes = sorted({item.shape for item in members})
    if len(shapes) > 1:
        raise GeometryError(f"{source}: its slices have different sizes, {shapes[0]} and {shapes[1]}; need one.")
    if not _is_right_angled(first.directions):
        raise GeometryError(f"{source}: the rows and columns of {first.path.name} are not at right angles.")
    for item in members:
        if float(np.abs(item.directions - first.directions).max()) > _DIRECTION_TOLERANCE:
            raise GeometryError(
                f"{source}: its slices are not parallel ({first.path.name} and {item.path.name}); need one stack."
            )
        if not np.allclose(item.spacing_mm, first.spacing_mm, rtol=_SPACING_TOLERANCE, atol=0.0):
            found = f"{first.spacing_mm.tolist()} and {item.spacing_mm.tolist()}"
            raise GeometryError(f"{source}: its slices have different pixel spacing, {found} mm; need one.")
    if float(first.spacing_mm.min()) <= 0.0:
        found = str(first.spacing_mm.tolist())
        raise GeometryError(f"{source}: has a pixel spacing of {found} mm; need positive numbers.")


def _refuse_gaps(source: Path, heights: NDArray[np.float64]) -> None:
    distances = np.diff(heights)
    usual = float(np.median(distances))
    allowed = _GAP_TOLERANCE * usual + _GAP_SLACK_MM
    wrong = np.flatnonzero(np.abs(distances - usual) > allowed)
    if len(wrong) == 0:
        return
    place = int(wrong[0])
    low, high, distance = heights[place], heights[place + 1], float(distances[place])
    multiple = round(distance / usual)
    if multiple >= 2 and abs(distance - multiple * usual) <= allowed * multiple:
        missing = "1 slice is" if multiple == 2 else f"{multiple - 1} slices are"
        raise GeometryError(
            f"{source}: {missing} missing between {low:.2f} and {high:.2f} mm along the stack "
            f"(gaps in all: {len(wrong)}); need every slice."
        )
    raise GeometryError(
        f"{source}: its slices are unevenly spaced, {usual:.2f} mm and {distance:.2f} mm; need even spacing."
    )


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
    """Grid with the planes of a sheared one stacked along their normal, widened by how far they slide."""
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
