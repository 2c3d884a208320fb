"""Paints the body wall: skin, fat, breasts, muscles in layers, and the table behind the back."""

import numpy as np
import torch

from samereg.geometry.grid import voxel_centres_mm
from samereg.phantom.anatomy import Anatomy
from samereg.phantom.canvas import Canvas, Region, Texture, coordinates, paint, region, whole
from samereg.phantom.shapes import Array, Solid, cut, ellipsoid, grown, smooth_min, tube
from samereg.phantom.spine import spine_curve

_SKIN_MM = 2.2
_LAYER_MM = 17.0
"""Thickness of a layer of muscle."""
_SHEET_MM = 0.9
"""Half thickness of the fat between layers of muscle."""
_RIB_CAGE_MM = 12.0
"""The first so many mm outside the cavity are ribs and the muscle between them."""
_BREAST_BLEND_MM = 18.0
_GLAND_DEPTH_MM = 16.0
_TABLE_HALF_WIDTH_MM = 190.0
_TABLE_MM = 40.0
_TABLE_GAP_MM = 6.0
_TABLE_RISE_MM = 13.0


def draw_wall(canvas: Canvas, anatomy: Anatomy, cavity: Array, texture: Texture) -> None:
    """Paint everything outside the cavity but the bones; ``cavity`` is the distance to the cavity."""
    x, y, z = coordinates(canvas, whole(canvas))
    if anatomy.variation.table:
        _draw_table(canvas, anatomy)
    _draw_skin(canvas, anatomy, anatomy.torso.skin.distance(x, y, z))
    muscle = anatomy.torso.muscle.distance(x, y, z)
    paint(canvas, Region(slices=whole(canvas), distance=muscle), "muscle")
    _draw_sheets(canvas, cavity, muscle, texture)
    _draw_fat_pads(canvas, anatomy, texture)
    _draw_back(canvas, anatomy, cavity, muscle)
    _draw_pectorals(canvas, anatomy, cavity, muscle)


def _draw_table(canvas: Canvas, anatomy: Anatomy) -> None:
    """A shallow trough behind the back; it belongs to the scanner, so no warp bends it."""
    world = voxel_centres_mm(canvas.grid)[..., :2].to(torch.float32).numpy()
    back = np.array([[0.0, anatomy.torso.skin.back_mm(0.0) + _TABLE_GAP_MM, 0.0]])
    _, level, _ = canvas.warp.to_subject(back)[0].tolist()
    x, y = world[..., 0], world[..., 1]
    top = y - level + _TABLE_RISE_MM * np.square(x / _TABLE_HALF_WIDTH_MM)
    aside = np.abs(x) - _TABLE_HALF_WIDTH_MM
    core = np.maximum(np.maximum(-top, top - _TABLE_MM), aside)
    paint(canvas, Region(slices=whole(canvas), distance=core), "foam")
    paint(canvas, Region(slices=whole(canvas), distance=np.maximum(np.abs(top) - 1.0, aside)), "table")


def _draw_skin(canvas: Canvas, anatomy: Anatomy, skin: Array) -> None:
    breasts = _breasts(anatomy)
    bump = region(canvas, breasts, reach_mm=_BREAST_BLEND_MM)
    if bump is not None:
        view = skin[bump.slices]
        view[...] = smooth_min(view, bump.distance, _BREAST_BLEND_MM)
    paint(canvas, Region(slices=whole(canvas), distance=skin), "skin")
    paint(canvas, Region(slices=whole(canvas), distance=skin + _SKIN_MM), "fat")
    paint(canvas, region(canvas, grown(breasts, -_GLAND_DEPTH_MM)), "gland", opacity=0.75)


def _breasts(anatomy: Anatomy) -> Solid:
    size = anatomy.variation.breast
    if size <= 0.0:
        return ()
    front = anatomy.torso.skin.front_mm(-10.0)
    radii = (40.0 * size + 22.0, 32.0 * size, 42.0 * size + 14.0)
    return tuple(ellipsoid((side * 74.0, front + 12.0, -6.0), radii) for side in (-1.0, 1.0))


def _draw_sheets(canvas: Canvas, cavity: Array, muscle: Array, texture: Texture) -> None:
    """Fat between layers of muscle that run along the rib cage, wavy with the coarse texture."""
    layer = (cavity - _RIB_CAGE_MM) * (np.pi / _LAYER_MM) + 0.8 * texture[1]
    sheets = np.abs(np.sin(layer)) * (_LAYER_MM / np.pi) - _SHEET_MM
    among = np.maximum(muscle + 2.0, _RIB_CAGE_MM - cavity)
    paint(canvas, Region(slices=whole(canvas), distance=np.maximum(sheets, among)), "fat", opacity=0.6)


def _draw_fat_pads(canvas: Canvas, anatomy: Anatomy, texture: Texture) -> None:
    """Ragged fat in the armpits and above the collar bones."""
    for side in (-1.0, 1.0):
        armpit = ellipsoid((side * 138.0, -8.0, 64.0), (21.0, 33.0, 48.0))
        above = ellipsoid((side * 64.0, -6.0, 152.0), (34.0, 24.0, 17.0))
        for pad in (armpit, above):
            where = region(canvas, (cut(pad, anatomy.torso.muscle.distance),), reach_mm=8.0)
            if where is not None:
                ragged = 5.0 * texture[1][where.slices] + 2.0 * texture[0][where.slices]
                rough = Region(slices=where.slices, distance=where.distance + ragged)
                paint(canvas, rough, "fat", opacity=0.9)


def _draw_back(canvas: Canvas, anatomy: Anatomy, cavity: Array, muscle: Array) -> None:
    """The long muscles on both sides of the spinous processes."""
    radius = 15.5 * anatomy.variation.size("muscle")
    for side in (-1.0, 1.0):
        curve = spine_curve(-240.0, 150.0, across_mm=side * 29.0, behind_mm=50.0)
        where = region(canvas, tube(curve, radius, flatten=(0.68, 1.0, 1.0)))
        if where is not None:
            inside = np.maximum(where.distance, muscle[where.slices] + 0.5)
            inside = np.maximum(inside, 9.0 - cavity[where.slices])
            paint(canvas, Region(slices=where.slices, distance=inside), "back_muscles")


def _draw_pectorals(canvas: Canvas, anatomy: Anatomy, cavity: Array, muscle: Array) -> None:
    """Muscles over the front of the upper ribs."""
    thickness = 15.0 * anatomy.variation.size("muscle")
    for side in (-1.0, 1.0):
        where = region(canvas, (ellipsoid((side * 78.0, -72.0, 44.0), (74.0, 62.0, 58.0)),))
        if where is not None:
            x, y, _ = coordinates(canvas, where.slices)
            inner, outer = _RIB_CAGE_MM - cavity[where.slices], muscle[where.slices] + 0.5
            inside = np.maximum(where.distance, np.maximum(inner, outer))
            inside = np.maximum(inside, -inner - thickness)
            inside = np.maximum(inside, np.maximum(16.0 - np.abs(x), y + 22.0))
            paint(canvas, Region(slices=where.slices, distance=inside), "pectoral_muscles")
