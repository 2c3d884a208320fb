"""All bones of the template, and the named points on them."""

from dataclasses import dataclass

from samereg.phantom.cage import ribs_and_cartilage, sternum, sternum_points
from samereg.phantom.girdle import clavicle, girdle_points, humerus_head, scapula
from samereg.phantom.shapes import Point, Solid
from samereg.phantom.spine import VERTEBRAE_MM, canal_and_cord, discs, spine_y_mm, vertebrae
from samereg.phantom.torso import Torso


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """Bones and what belongs to them, as solids; both sides in one where the table of organs has one."""

    vertebrae: Solid
    discs: Solid
    canal: Solid
    cord: Solid
    ribs: Solid
    cartilage: Solid
    sternum: Solid
    right_clavicle: Solid
    left_clavicle: Solid
    scapulae: Solid
    humeri: Solid
    points_mm: dict[str, Point]


def build_skeleton(torso: Torso) -> Skeleton:
    """Bones around and behind the cavity."""
    ribs, cartilage = ribs_and_cartilage(torso.cavity)
    canal, cord = canal_and_cord()
    points = sternum_points(torso.cavity) | girdle_points()
    for name, z in VERTEBRAE_MM.items():
        if name.startswith("T"):
            points[f"{name}_body"] = (0.0, spine_y_mm(z), z)
    return Skeleton(
        vertebrae=vertebrae(),
        discs=discs(),
        canal=canal,
        cord=cord,
        ribs=ribs,
        cartilage=cartilage,
        sternum=sternum(torso.cavity),
        right_clavicle=clavicle(-1.0),
        left_clavicle=clavicle(1.0),
        scapulae=scapula(torso.cavity, -1.0) + scapula(torso.cavity, 1.0),
        humeri=humerus_head(-1.0) + humerus_head(1.0),
        points_mm=points,
    )
