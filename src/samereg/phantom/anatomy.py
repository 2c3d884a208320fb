"""Assembly of one subject's anatomy in the template's frame, independent of voxels."""

from dataclasses import dataclass

import numpy as np
import torch

from samereg.phantom.abdomen import Abdomen, build_abdomen
from samereg.phantom.chest import Chest, build_chest
from samereg.phantom.skeleton import Skeleton, build_skeleton
from samereg.phantom.torso import Torso, build_torso
from samereg.phantom.trees import Tree, grow_tree, lung_distance, spread_points
from samereg.phantom.variation import Variation

_TWIGS = 180
"""Number of leaves of each lung's arterial tree; the venous trees have about as many."""
_BRONCHI = 18
_TWIG_MM = 0.95
_BRONCHUS_MM = 1.1
_BESIDE_MM = (2.5, -3.0, 3.0)
"""A bronchus runs beside its artery: outward, forward, upward."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anatomy:
    """Complete anatomy of a subject."""

    variation: Variation
    torso: Torso
    skeleton: Skeleton
    chest: Chest
    abdomen: Abdomen
    trees: dict[str, Tree]


def build_anatomy(variation: Variation, generator: torch.Generator) -> Anatomy:
    """Anatomy of one subject; the generator determines the branching of lung vessels."""
    torso = build_torso(variation)
    chest = build_chest(variation)
    return Anatomy(
        variation=variation,
        torso=torso,
        skeleton=build_skeleton(torso),
        chest=chest,
        abdomen=build_abdomen(torso, variation),
        trees=_lung_trees(torso, chest, -1.0, generator) | _lung_trees(torso, chest, 1.0, generator),
    )


def _lung_trees(torso: Torso, chest: Chest, side: float, generator: torch.Generator) -> dict[str, Tree]:
    """Arteries, veins and bronchi of the right (-1) or left (1) lung."""
    name = "right" if side < 0.0 else "left"
    inside = lung_distance(torso, chest.mediastinum, side)
    arterial = spread_points(inside, generator, side=side, count=_TWIGS)
    venous = spread_points(inside, generator, side=side, count=_TWIGS)
    beside = arterial[:_BRONCHI] + np.array(_BESIDE_MM) * [side, 1.0, 1.0]
    border = 0.5 * (chest.hila[f"{name}_upper_vein"][1, 2] + chest.hila[f"{name}_lower_vein"][1, 2])
    upper = venous[:, 2] > border
    targets = {
        f"{name}_artery": (arterial, _TWIG_MM),
        f"{name}_upper_vein": (venous[upper], _TWIG_MM),
        f"{name}_lower_vein": (venous[~upper], _TWIG_MM),
        f"{name}_bronchus": (beside, _BRONCHUS_MM),
    }
    return {stem: grow_tree(chest.hila[stem], points, twig_mm=twig_mm) for stem, (points, twig_mm) in targets.items()}
