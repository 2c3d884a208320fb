"""Landmarks of the anatomy, mapped to the subject by the same maps as the image."""

import numpy as np
from jaxtyping import Float64

from samereg.phantom.anatomy import Anatomy
from samereg.phantom.shapes import Point
from samereg.phantom.trees import LungDistance, lung_distance


def find_landmarks(anatomy: Anatomy) -> dict[str, Point]:
    """All landmarks, subject world LPS+, mm.

    They are fixed in the template's frame and mapped like the organs: the anatomy at a landmark
    is the same in all subjects.
    """
    named = anatomy.chest.points_mm | anatomy.skeleton.points_mm
    for side, name, top in zip((-1.0, 1.0), ("right", "left"), anatomy.torso.dome_mm, strict=True):
        x, y = (np.array([v], dtype=np.float32) for v in top[:2])
        named[f"{name}_diaphragm_dome"] = (top[0], top[1], float(anatomy.torso.dome_height(x, y)[0]))
        lung = lung_distance(anatomy.torso, anatomy.chest.mediastinum, side)
        named[f"{name}_lung_apex"] = _apex(lung, side)
    subject = anatomy.variation.warp.to_subject(np.array(list(named.values()), dtype=np.float64))
    return {name: (float(x), float(y), float(z)) for name, (x, y, z) in zip(named, subject, strict=True)}


def _apex(distance: LungDistance, side: float) -> Point:
    """Highest point of a lung in the template: on a coarse lattice, then on a fine one around that."""
    top = _highest(distance, np.array([side * 38.0, 25.0, 115.0]), (32.0, 55.0, 24.0), step_mm=4.0)
    x, y, z = _highest(distance, top, (8.0, 8.0, 5.0), step_mm=0.5).tolist()
    return x, y, z


def _highest(
    distance: LungDistance, centre_mm: Float64[np.ndarray, " 3"], reach_mm: Point, *, step_mm: float
) -> Float64[np.ndarray, " 3"]:
    axes = [np.arange(c - r, c + r + 0.1, step_mm) for c, r in zip(centre_mm, reach_mm, strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = lattice[distance(lattice) < 0.0]
    highest: Float64[np.ndarray, " 3"] = inside[inside[:, 2] >= inside[:, 2].max()].mean(axis=0)
    return highest
