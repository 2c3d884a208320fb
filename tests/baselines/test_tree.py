"""Displacements on a tree: against trying everything, and the tree against Kruskal by hand."""

from itertools import product

import numpy as np
import pytest
import torch

from samereg.baselines.lattice import Lattice
from samereg.baselines.tree import Tree, smoothest, spanning_tree

pytest.importorskip("numba", reason="numba is not installed")

ROUNDING = 1e-4
"""Sums of a few single-precision numbers below 100."""


def energy(costs: np.ndarray, tree: Tree, start: np.ndarray, chosen: np.ndarray, weight: float) -> float:
    side = round(costs.shape[1] ** (1 / 3))
    flat = np.ravel_multi_index(tuple(chosen.T), (side,) * 3)
    places = chosen + start
    apart = ((places - places[tree.parents]) ** 2).sum()
    return float(costs[np.arange(len(costs)), flat].sum() + weight * apart)


@pytest.mark.parametrize("weight", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("parents", [(0, 0, 1), (1, 1, 1)], ids=["chain", "star"])
def test_no_other_choice_costs_less(weight: float, parents: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    costs = generator.uniform(0.0, 10.0, (3, 27)).astype(np.float32)
    start = generator.normal(0.0, 0.7, (3, 3)).astype(np.float32)
    root = next(n for n, p in enumerate(parents) if n == p)
    order = [root, *(n for n in range(3) if n != root)]
    tree = Tree(order=np.array(order, np.int32), parents=np.array(parents, np.int32))
    chosen = smoothest(costs.copy(), tree, start, weight=weight)
    every = (np.stack(np.unravel_index(np.array(each), (3, 3, 3)), 1) for each in product(range(27), repeat=3))
    least = min(energy(costs, tree, start, each, weight) for each in every)
    assert energy(costs, tree, start, chosen, weight) == pytest.approx(least, abs=ROUNDING)


def test_tree_avoids_the_border_between_two_bodies() -> None:
    image = torch.zeros(12, 12, 12)
    image[:, 6:] = 100.0
    lattice = Lattice(shape=(12, 12, 12), spacing=2)
    tree = spanning_tree(image, lattice)
    side = np.arange(6**3).reshape(lattice.blocks) // 6 % 6 >= 3
    crossing = side.ravel() != side.ravel()[tree.parents]
    assert crossing.sum() == 1


def test_tree_reaches_every_block_from_its_parent() -> None:
    image = torch.randn(13, 10, 9, generator=torch.Generator().manual_seed(0))
    lattice = Lattice(shape=(13, 10, 9), spacing=2)
    tree = spanning_tree(image, lattice)
    place = {block: number for number, block in enumerate(tree.order)}
    assert len(place) == np.prod(lattice.blocks)
    assert all(place[tree.parents[block]] < place[block] for block in tree.order[1:])
    apart = np.stack(np.unravel_index(np.arange(len(place)), lattice.blocks), 1)
    assert set(np.abs(apart - apart[tree.parents]).sum(1)) == {0, 1}
