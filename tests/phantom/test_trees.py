"""Vessel trees of the lungs: they stay inside, and their radii obey Murray's law."""

import numpy as np
import torch

from samereg.phantom.chest import build_chest
from samereg.phantom.torso import build_torso
from samereg.phantom.trees import grow_tree, lung_distance, spread_points, tree_solid
from samereg.phantom.variation import draw_variation


def _right_lung():
    variation = draw_variation(torch.Generator().manual_seed(5))
    chest = build_chest(variation)
    return lung_distance(build_torso(variation), chest.mediastinum, -1.0), chest


def test_targets_lie_in_their_lung_and_spread():
    inside, _ = _right_lung()
    points = spread_points(inside, torch.Generator().manual_seed(0), side=-1.0, count=40)
    assert len(points) == 40
    assert (inside(points) < 0.0).all()
    assert (points[:, 0] < 0.0).all()
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e3 * np.eye(40)
    assert gaps.min() > 15.0


def test_tree_reaches_every_target_and_tapers():
    inside, chest = _right_lung()
    targets = spread_points(inside, torch.Generator().manual_seed(0), side=-1.0, count=40)
    tree = grow_tree(chest.hila["right_artery"], targets, twig_mm=0.9)
    for target in targets:
        assert np.linalg.norm(tree.nodes_mm - target, axis=1).min() < 1e-9
    assert (tree.parents[1:] < np.arange(1, len(tree.parents))).all()
    assert (tree.radii_mm[1:] <= tree.radii_mm[tree.parents[1:]] + 1e-12).all()
    assert tree.radii_mm[0] == np.float64(tree.radii_mm.max())
    # 40 twigs: 0.9 * 40 ** (1 / 2.8) = 3.4 mm, or less where a branch passes through a twig's end.
    assert 2.5 < tree.radii_mm[0] < 3.5


def test_thickness_limits_split_a_tree_in_two():
    inside, chest = _right_lung()
    targets = spread_points(inside, torch.Generator().manual_seed(0), side=-1.0, count=20)
    tree = grow_tree(chest.hila["right_artery"], targets, twig_mm=0.9)
    thin, thick = tree_solid(tree, thickest_mm=1.2), tree_solid(tree, thinnest_mm=1.2)
    assert len(thin) + len(thick) == len(tree.nodes_mm) - 1
