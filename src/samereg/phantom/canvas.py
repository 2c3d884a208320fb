"""Canvas: HU in both phases and labels on a grid, painted shape by shape, back to front."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int, Int16

from samereg.geometry.grid import Grid
from samereg.phantom.organs import PHASES, find_organ
from samereg.phantom.shapes import Array, Part
from samereg.phantom.variation import Warp

Slices = tuple[slice, slice, slice]
Texture = Float32[np.ndarray, "2 d h w"]
"""A fine and a coarse random field of unit variance on the canvas."""

_Index = Int[np.ndarray, " 3"]

_BOX_MARGIN_MM = 2.0
"""Margin of bounding boxes, whose edges are deformed by the warp, mm."""
_BOX_ITERATIONS = 8
_FAR_MM = 1e3
_EXPONENT = 60.0
_MIN_SUM = 1e-20


@dataclass(frozen=True, kw_only=True, slots=True)
class Canvas:
    """The canvas.

    Attributes:
        grid: lattice in the subject's world.
        warp: subject to template.
        template_mm: template position (x, y, z) of each voxel.
        hu: mean HU, one channel for each of ``PHASES``; painted in place.
        labels: organ values; painted in place.
        palette: HU of each organ and tissue in this subject, NC and CE.
    """

    grid: Grid
    warp: Warp
    template_mm: Float32[np.ndarray, "3 d h w"]
    hu: Float32[np.ndarray, "2 d h w"]
    labels: Int16[np.ndarray, "d h w"]
    palette: dict[str, tuple[float, float]]

    @property
    def edge_mm(self) -> float:
        """Width of a blurred surface: the voxel size."""
        return float(np.prod(self.grid.spacing_mm) ** (1.0 / 3.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """Signed distance to a shape on a box of the canvas."""

    slices: Slices
    distance: Array


def blank_canvas(grid: Grid, warp: Warp, palette: dict[str, tuple[float, float]]) -> Canvas:
    """A canvas full of air."""
    hu = np.empty((len(PHASES), *grid.shape), dtype=np.float32)
    for phase, value in enumerate(palette["air"]):
        hu[phase] = value
    return Canvas(
        grid=grid,
        warp=warp,
        template_mm=warp.template_coordinates(grid),
        hu=hu,
        labels=np.zeros(grid.shape, dtype=np.int16),
        palette=palette,
    )


def whole(canvas: Canvas) -> Slices:
    """The box of the whole canvas."""
    d, h, w = canvas.grid.shape
    return slice(0, d), slice(0, h), slice(0, w)


def coordinates(canvas: Canvas, slices: Slices) -> tuple[Array, Array, Array]:
    """Template x, y, z on a box."""
    x, y, z = (axis[slices] for axis in canvas.template_mm)
    return x, y, z


def region(canvas: Canvas, parts: Sequence[Part], *, blend_mm: float = 0.0, reach_mm: float = 0.0) -> Region | None:
    """Distance to the union of parts on the box around them, ``None`` where they miss the canvas.

    Each part is evaluated in its own box; elsewhere the distance is a large positive number. With a
    blend, the union is a soft minimum, ``-k log sum exp(-f / k)``, which fills the creases between parts.

    Args:
        canvas: gives the lattice and the warp.
        parts: shape, in the template's frame.
        blend_mm: the soft minimum's ``k``; 0 for a plain minimum.
        reach_mm: distance outside the shape up to which values must be correct.
    """
    reach_mm = max(reach_mm, canvas.edge_mm + 3.0 * blend_mm)
    boxes = [box for box in _boxes(canvas, parts, margin_mm=reach_mm) if (box[1] > box[0]).all()]
    if not boxes:
        return None
    low, high = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    field = np.full(high - low, 0.0 if blend_mm > 0.0 else _FAR_MM, dtype=np.float32)
    for first, past, part in boxes:
        distance = part.distance(*coordinates(canvas, _slices(first, past)))
        view = field[_slices(first - low, past - low)]
        if blend_mm > 0.0:
            view += np.exp(np.clip(distance * (-1.0 / blend_mm), -_EXPONENT, _EXPONENT))
        else:
            np.minimum(view, distance, out=view)
    if blend_mm > 0.0:
        field = -blend_mm * np.log(np.maximum(field, _MIN_SUM))
    return Region(slices=_slices(low, high), distance=field)


def paint(canvas: Canvas, where: Region | None, name: str, *, opacity: float = 1.0) -> None:
    """Paints an organ or tissue, in place, with partial volume at its surface."""
    if where is None:
        return
    cover = coverage(canvas, where) * opacity
    for phase, value in enumerate(canvas.palette[name]):
        view = canvas.hu[phase][where.slices]
        view += cover * (value - view)
    _label(canvas, where, name)


def paint_bone(canvas: Canvas, where: Region | None, name: str, *, compact_hu: float, compact_mm: float) -> None:
    """Paints a bone, in place: compact at its surface, spongy (the palette's HU) inside."""
    if where is None:
        return
    cover = coverage(canvas, where)
    shell = np.exp(np.minimum(where.distance, 0.0) * (1.0 / compact_mm))
    for phase, value in enumerate(canvas.palette[name]):
        view = canvas.hu[phase][where.slices]
        view += cover * (value + (compact_hu - value) * shell - view)
    _label(canvas, where, name)


def coverage(canvas: Canvas, where: Region) -> Array:
    """Fraction of each voxel inside the surface, 0 to 1."""
    result: Array = np.clip(0.5 - where.distance * (1.0 / canvas.edge_mm), 0.0, 1.0)
    return result


def _label(canvas: Canvas, where: Region, name: str) -> None:
    value = find_organ(name).value
    if value is not None:
        canvas.labels[where.slices][where.distance < 0.0] = value


def _boxes(canvas: Canvas, parts: Sequence[Part], *, margin_mm: float) -> list[tuple[_Index, _Index, Part]]:
    """First and one-past-last voxel of the box of each part, clipped to the canvas."""
    if not parts:
        return []
    steps = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * 3, indexing="ij"), axis=-1).reshape(1, 27, 3)
    low = np.array([part.low_mm for part in parts])[:, None] - margin_mm - _BOX_MARGIN_MM
    high = np.array([part.high_mm for part in parts])[:, None] + margin_mm + _BOX_MARGIN_MM
    lattice: Float64[np.ndarray, "p 27 3"] = low + (high - low) * steps
    subject = canvas.warp.to_subject(lattice, iterations=_BOX_ITERATIONS)
    index = canvas.grid.to_index(torch.from_numpy(subject)).numpy()
    first = np.clip(np.floor(index.min(axis=1)), 0, canvas.grid.shape).astype(np.int64)
    past = np.clip(np.ceil(index.max(axis=1)) + 1, 0, canvas.grid.shape).astype(np.int64)
    return list(zip(first, past, parts, strict=True))


def _slices(first: _Index, past: _Index) -> Slices:
    d, h, w = (slice(int(a), int(b)) for a, b in zip(first, past, strict=True))
    return d, h, w
