"""Costs of displaced blocks against their definition, voxel by voxel."""

import numpy as np
import pytest
import torch

from samereg.baselines.blocks import Search, as_field, descriptor_words, displacement_costs
from samereg.baselines.kernels import STEPS
from samereg.baselines.lattice import Lattice
from samereg.ops.mind import self_similarity_context

pytest.importorskip("numba", reason="numba is not installed")

SEARCHES = [
    Search(spacing=4, radius=2, step=1, patch=1),
    Search(spacing=5, radius=1, step=3, patch=1),
    Search(spacing=8, radius=2, step=2, patch=2),
]


def noise(shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_differing_bits_count_steps_of_the_descriptors() -> None:
    one, other = noise((6, 7, 8)), noise((6, 7, 8), seed=1)
    levels = [torch.floor(self_similarity_context(image, radius=1) * STEPS + 0.5) for image in (one, other)]
    expected = (levels[0] - levels[1]).abs().sum(0).numpy()
    words = [descriptor_words(image, patch=1) for image in (one, other)]
    np.testing.assert_array_equal(np.bitwise_count(words[0] ^ words[1]), expected)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: f"spacing {s.spacing} step {s.step}")
def test_costs_follow_the_definition(search: Search) -> None:
    shape = (19, 17, 43)
    fixed, moving = (descriptor_words(noise(shape, seed), patch=search.patch) for seed in (0, 1))
    costs = displacement_costs(fixed, moving, search)
    lattice = Lattice(shape=shape, spacing=search.spacing)
    stride = 2 if search.spacing > 4 else 1
    generator = np.random.default_rng(0)
    for block, displacement in zip(
        generator.integers(0, costs.shape[0], 20), generator.integers(0, costs.shape[1], 20), strict=True
    ):
        index = np.array(np.unravel_index(block, lattice.blocks)) * search.spacing + lattice.first
        by = (np.array(np.unravel_index(displacement, (search.side,) * 3)) - search.radius) * search.step
        voxels = np.stack(np.meshgrid(*[np.arange(0, search.spacing, stride)] * 3, indexing="ij"), -1).reshape(-1, 3)
        here = voxels + index
        there = np.clip(here + by, 0, np.array(shape) - 1)
        differing = np.bitwise_count(fixed[tuple(here.T)] ^ moving[tuple(there.T)])
        assert costs[block, displacement] == pytest.approx(differing.mean(), rel=1e-6)


def test_a_shifted_image_is_found_where_it_went() -> None:
    search = Search(spacing=4, radius=2, step=1, patch=1)
    image = noise((24, 24, 24))
    moved = torch.roll(image, (1, -2, 2), dims=(0, 1, 2))
    costs = displacement_costs(descriptor_words(image, patch=1), descriptor_words(moved, patch=1), search)
    steps = np.stack(np.unravel_index(costs.argmin(1), (5, 5, 5)), 1).astype(np.int32)
    field = as_field(steps, search, Lattice(shape=(24, 24, 24), spacing=4))
    inner = field[:, 2:-2, 2:-2, 2:-2].reshape(3, -1)
    assert torch.equal(inner, torch.tensor([[1.0], [-2.0], [2.0]]).expand_as(inner))
