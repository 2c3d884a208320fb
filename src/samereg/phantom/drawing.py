"""Paints one subject's anatomy onto a canvas, from the skin inward and from soft to hard."""

import numpy as np

from samereg.phantom.abdomen import Abdomen
from samereg.phantom.anatomy import Anatomy
from samereg.phantom.canvas import (
    Canvas,
    Region,
    Texture,
    coordinates,
    coverage,
    paint,
    paint_bone,
    region,
    whole,
)
from samereg.phantom.shapes import Array, smooth_max
from samereg.phantom.skeleton import Skeleton
from samereg.phantom.torso import Torso
from samereg.phantom.trees import MIDLINE_MM, PLEURA_MM, Tree, tree_solid
from samereg.phantom.wall import draw_wall

_LUNG_BLEND_MM = 5.0
_MEDIASTINUM_BLEND_MM = 2.5
_GRAVITY_HU = 0.45
"""HU per mm by which lung grows denser towards the back."""
_MOTTLE_HU = 10.0
_FISSURE_MM = 0.8
_MIN_RADIUS_VOX = 0.33
"""Minimum radius of drawn vessels, in voxels."""
_FAINT = 0.7
"""Vessels with a smaller radius, in voxels, are drawn with partial volume."""
_BRONCHUS_MM = 1.35
"""Radius of the thinnest bronchus that is drawn."""
_BRONCHUS_WALL_MM = 0.8
_COMPACT_HU, _COMPACT_MM = 780.0, 1.4
_VERTEBRA_HU, _VERTEBRA_MM = 480.0, 1.3

_CHEST_ORDER = (
    "oesophagus", "gas", "thyroid", "left_atrium", "right_atrium", "heart_wall", "right_ventricle",
    "myocardium", "left_ventricle", "other_vein", "inferior_vena_cava", "superior_vena_cava",
    "right_brachiocephalic_vein", "left_brachiocephalic_vein", "pulmonary_artery", "descending_aorta",
    "ascending_aorta", "other_artery", "brachiocephalic_artery", "left_common_carotid_artery",
    "left_subclavian_artery", "aortic_arch", "organ_wall", "left_main_bronchus", "right_main_bronchus",
    "trachea",
)  # fmt: skip
"""Drawing order: later shapes cover earlier ones."""


def draw(canvas: Canvas, anatomy: Anatomy, texture: Texture) -> None:
    """Paints the whole subject, in drawing order."""
    x, y, z = coordinates(canvas, whole(canvas))
    cavity = anatomy.torso.cavity.distance(x, y, z)
    draw_wall(canvas, anatomy, cavity, texture)
    _draw_cavity(canvas, anatomy.torso, cavity)
    _draw_abdomen(canvas, anatomy.abdomen)
    _draw_lungs(canvas, anatomy, cavity, texture)
    for name in _CHEST_ORDER:
        paint(canvas, region(canvas, anatomy.chest.solids[name]), name)
    _draw_bones(canvas, anatomy.skeleton)


def _draw_cavity(canvas: Canvas, torso: Torso, cavity: Array) -> None:
    """Fat everywhere in the cavity, parted by the diaphragm."""
    x, y, z = coordinates(canvas, whole(canvas))
    inside = np.maximum(cavity, torso.muscle.distance(x, y, z) + 5.0)
    paint(canvas, Region(slices=whole(canvas), distance=inside), "fat")
    sheet = np.maximum(np.abs(torso.above_diaphragm(x, y, z) - 1.5) - 1.5, cavity)
    paint(canvas, Region(slices=whole(canvas), distance=sheet), "muscle")


def _draw_abdomen(canvas: Canvas, organs: Abdomen) -> None:
    paint(canvas, region(canvas, organs.colon), "bowel")
    paint(canvas, region(canvas, organs.colon_gas), "gas")
    paint(canvas, region(canvas, organs.kidneys), "kidney")
    paint(canvas, region(canvas, organs.spleen), "spleen")
    paint(canvas, region(canvas, organs.stomach_wall), "organ_wall")
    paint(canvas, region(canvas, organs.stomach), "stomach")
    paint(canvas, region(canvas, organs.stomach_gas), "gas")
    paint(canvas, region(canvas, organs.liver), "liver")
    paint(canvas, region(canvas, organs.liver_veins), "liver_vein", opacity=0.5)


def _draw_lungs(canvas: Canvas, anatomy: Anatomy, cavity: Array, texture: Texture) -> None:
    x, y, z = coordinates(canvas, whole(canvas))
    lung = smooth_max(cavity + PLEURA_MM, anatomy.torso.above_diaphragm(x, y, z), _LUNG_BLEND_MM)
    middle = region(canvas, anatomy.chest.mediastinum, blend_mm=_MEDIASTINUM_BLEND_MM)
    if middle is not None:
        view = lung[middle.slices]
        view[...] = smooth_max(view, -middle.distance, _LUNG_BLEND_MM)
    for side, name in ((-1.0, "right_lung"), (1.0, "left_lung")):
        half = np.maximum(lung, side * (MIDLINE_MM - x))
        paint(canvas, Region(slices=whole(canvas), distance=half), name)
    inside = coverage(canvas, Region(slices=whole(canvas), distance=lung))
    shade = inside * (_MOTTLE_HU * texture[1] + _GRAVITY_HU * (y - 10.0))
    np.add(canvas.hu, shade, out=canvas.hu)
    _draw_fissures(canvas, lung)
    for name, tree in anatomy.trees.items():
        _draw_tree(canvas, name, tree)


def _draw_fissures(canvas: Canvas, lung: Array) -> None:
    """Oblique fissures of both lungs, and the horizontal one of the right."""
    x, y, z = coordinates(canvas, whole(canvas))
    bend = 5.0 * np.sin(x * 0.045 + 0.8) + 4.0 * np.sin(y * 0.05)
    oblique = 0.62 * (y - 6.0) - 0.78 * (z - 2.0) + bend
    level = np.abs(z - 2.0 - 0.08 * y + 0.7 * bend)
    right = np.maximum(np.maximum(level, x + 20.0), oblique)
    sheets = np.minimum(np.abs(oblique), right) - 0.5 * _FISSURE_MM
    paint(canvas, Region(slices=whole(canvas), distance=np.maximum(sheets, lung)), "fissure", opacity=0.35)


def _draw_tree(canvas: Canvas, name: str, tree: Tree) -> None:
    thinnest, faint = _MIN_RADIUS_VOX * canvas.edge_mm, _FAINT * canvas.edge_mm
    if name.endswith("bronchus"):
        thinnest = max(thinnest, _BRONCHUS_MM)
        wall = tree_solid(tree, thinnest_mm=thinnest, offset_mm=_BRONCHUS_WALL_MM)
        paint(canvas, region(canvas, wall), "lung_airway_wall", opacity=0.75)
        paint(canvas, region(canvas, tree_solid(tree, thinnest_mm=thinnest)), "gas", opacity=0.95)
        return
    blood = "lung_artery" if name.endswith("artery") else "lung_vein"
    thin = tree_solid(tree, thinnest_mm=thinnest, thickest_mm=faint)
    paint(canvas, region(canvas, thin), blood, opacity=0.6)
    paint(canvas, region(canvas, tree_solid(tree, thinnest_mm=faint)), blood)


def _draw_bones(canvas: Canvas, bones: Skeleton) -> None:
    paint(canvas, region(canvas, bones.discs), "disc")
    paint_bone(canvas, region(canvas, bones.vertebrae), "vertebrae", compact_hu=_VERTEBRA_HU, compact_mm=_VERTEBRA_MM)
    paint(canvas, region(canvas, bones.canal), "canal_fluid")
    paint(canvas, region(canvas, bones.cord), "spinal_cord")
    paint(canvas, region(canvas, bones.cartilage), "cartilage")
    for name, solid in (
        ("ribs", bones.ribs),
        ("sternum", bones.sternum),
        ("right_clavicle", bones.right_clavicle),
        ("left_clavicle", bones.left_clavicle),
        ("scapulae", bones.scapulae),
        ("other_bone", bones.humeri),
    ):
        paint_bone(canvas, region(canvas, solid), name, compact_hu=_COMPACT_HU, compact_mm=_COMPACT_MM)
