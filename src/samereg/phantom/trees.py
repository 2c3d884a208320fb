"""Branching vessels and airways that fill a lung: trees grown from the hilum to points spread in it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from samereg.phantom.shapes import Curve, Solid, capsule, union_distance
from samereg.phantom.torso import Torso

LungDistance = Callable[[Float64[np.ndarray, "n 3"]], Float32[np.ndarray, " n"]]

PLEURA_MM = 2.0
"""The lungs end this far inside the cavity."""
MIDLINE_MM = 2.0
"""x at which the left lung begins and the right one ends, where they meet."""

_MURRAY = 2.8
"""Exponent of Murray's law: a stem's radius to this power is the sum of its branches'."""
_STEP_MM = 9.0
_TURN = 0.4
"""How far a branch runs on in its stem's direction before it turns, in lengths of the branch."""
_TURN_COST = 0.55
_DETOUR_COST = 0.12
_TINY_MM = 1e-6
_MARGIN_MM = 7.0
"""Twigs end this far from the lung's surface."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """Nodes, each after its parent (the root is its own), and their radii."""

    nodes_mm: Float64[np.ndarray, "n 3"]
    parents: Int64[np.ndarray, " n"]
    radii_mm: Float64[np.ndarray, " n"]


def lung_distance(torso: Torso, mediastinum: Solid, side: float) -> LungDistance:
    """Signed distance of template points to the right (-1) or left (1) lung."""

    def distance(points_mm: Float64[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        x, y, z = points_mm.T.astype(np.float32)
        result = np.maximum(torso.cavity.distance(x, y, z) + PLEURA_MM, torso.above_diaphragm(x, y, z))
        result = np.maximum(result, side * (MIDLINE_MM - x))
        # The mediastinum has hundreds of parts: ask only where the answer can matter.
        inside = result < 0.0
        result[inside] = np.maximum(result[inside], -union_distance(mediastinum, points_mm[inside]))
        distances: Float32[np.ndarray, " n"] = result
        return distances

    return distance


def spread_points(
    inside: LungDistance, generator: torch.Generator, *, side: float, count: int
) -> Float64[np.ndarray, "n 3"]:
    """Points in a lung, each as far as can be from those before it (so the first few span the lung)."""
    low = torch.tensor([2.0, -95.0, -185.0], dtype=torch.float64)
    high = torch.tensor([134.0, 92.0, 136.0], dtype=torch.float64)
    draws = (low + (high - low) * torch.rand(40 * count, 3, generator=generator, dtype=torch.float64)).numpy()
    draws[:, 0] *= side
    points = draws[inside(draws) < -_MARGIN_MM][: 8 * count]
    chosen = [0]
    gap = np.linalg.norm(points - points[0], axis=1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    result: Float64[np.ndarray, "n 3"] = points[chosen]
    return result


def grow_tree(stem_mm: Curve, targets_mm: Float64[np.ndarray, "t 3"], *, twig_mm: float) -> Tree:
    """Tree from a stem to all targets: each is joined to the node that is near and points its way.

    Radii follow Murray's law from twigs of radius ``twig_mm``.
    """
    heading = stem_mm[1] - stem_mm[0]
    size = float(np.linalg.norm(heading))
    nodes, parents, lengths = [stem_mm[0], stem_mm[1]], [0, 0], [0.0, size]
    directions = [heading / size] * 2
    for target in targets_mm:
        start = _joint(target, np.array(nodes), np.array(directions), np.array(lengths))
        for point in _branch(nodes[start], directions[start], target):
            step = point - nodes[start]
            size = max(float(np.linalg.norm(step)), _TINY_MM)
            nodes.append(point)
            parents.append(start)
            lengths.append(lengths[start] + size)
            directions.append(step / size)
            start = len(nodes) - 1
    above = np.array(parents, dtype=np.int64)
    return Tree(nodes_mm=np.array(nodes), parents=above, radii_mm=_radii(above, twig_mm))


def tree_solid(tree: Tree, *, thinnest_mm: float = 0.0, thickest_mm: float = np.inf, offset_mm: float = 0.0) -> Solid:
    """The tree's branches as tubes: those with a radius in [thinnest, thickest)."""
    parts = []
    for index in range(1, len(tree.nodes_mm)):
        radius = float(tree.radii_mm[index])
        if not thinnest_mm <= radius < thickest_mm:
            continue
        parent = int(tree.parents[index])
        stem = min(float(tree.radii_mm[parent]), 1.25 * radius)
        parts.append(capsule(tree.nodes_mm[parent], tree.nodes_mm[index], (stem + offset_mm, radius + offset_mm)))
    return tuple(parts)


def _joint(
    target_mm: Float64[np.ndarray, " 3"],
    nodes_mm: Float64[np.ndarray, "n 3"],
    directions: Float64[np.ndarray, "n 3"],
    lengths_mm: Float64[np.ndarray, " n"],
) -> int:
    """Node a branch to the target should leave from: near, without a sharp turn or a long way round."""
    offset = target_mm - nodes_mm
    away = np.linalg.norm(offset, axis=1) + _TINY_MM
    turn = 1.0 - (offset * directions).sum(axis=1) / away
    cost = away * (1.0 + _TURN_COST * turn) + _DETOUR_COST * lengths_mm
    return 1 + int(cost[1:].argmin())


def _branch(
    start: Float64[np.ndarray, " 3"], direction: Float64[np.ndarray, " 3"], end: Float64[np.ndarray, " 3"]
) -> Float64[np.ndarray, "n 3"]:
    """Quadratic curve that leaves in the stem's direction, without its first point."""
    length = float(np.linalg.norm(end - start))
    control = start + direction * (_TURN * length)
    t = np.linspace(0.0, 1.0, max(2, int(np.ceil(length / _STEP_MM)) + 1))[1:, None]
    result: Float64[np.ndarray, "n 3"] = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return result


def _radii(parents: Int64[np.ndarray, " n"], twig_mm: float) -> Float64[np.ndarray, " n"]:
    power = np.zeros(len(parents))
    for index in range(len(parents) - 1, 0, -1):
        # Children come after their parents, so a node's sum is complete when it is reached.
        power[index] = max(power[index], twig_mm**_MURRAY)
        power[parents[index]] += power[index]
    radii: Float64[np.ndarray, " n"] = power ** (1.0 / _MURRAY)
    return radii
