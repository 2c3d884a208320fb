"""MIND-SSC against its definition, voxel by voxel, and what it must not see."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from samereg.ops.mind import CHANNELS, edges, patch_distances, self_similarity_context

ROUNDING = 1e-5
"""Sums of at most 343 single-precision squares of numbers near 1."""


def noise(shape: tuple[int, int, int] = (9, 8, 10), seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def distance_by_definition(image: Tensor, at: tuple[int, int, int], ends: Tensor, radius: int) -> float:
    total = 0.0
    patch = torch.cartesian_prod(*[torch.arange(-radius, radius + 1)] * 3)
    last = torch.tensor(image.shape) - 1
    for offset in patch:
        one, other = ((torch.tensor(at) + end + offset).clamp(min=0).minimum(last) for end in ends)
        total += float(image[tuple(one)] - image[tuple(other)]) ** 2
    return total


def test_edges_join_neighbouring_neighbours_once_each() -> None:
    found = {frozenset({e.first, tuple(a + b for a, b in zip(e.first, e.across, strict=True))}) for e in edges(2)}
    assert len(found) == CHANNELS
    for ends in found:
        one, other = (torch.tensor(end) for end in ends)
        assert one.abs().sum() == other.abs().sum() == 2
        assert int((one * other).sum()) == 0


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("at", [(4, 4, 4), (4, 5, 3)])
def test_distances_follow_the_definition(radius: int, at: tuple[int, int, int]) -> None:
    image = noise()
    found = patch_distances(image, radius=radius)[:, at[0], at[1], at[2]]
    for value, edge in zip(found.tolist(), edges(radius), strict=True):
        ends = torch.tensor([edge.first, [a + b for a, b in zip(edge.first, edge.across, strict=True)]])
        assert value == pytest.approx(distance_by_definition(image, at, ends, radius), rel=ROUNDING)


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-5.0, 5.0), sign=st.sampled_from([-1.0, 1.0]))
def test_contrast_does_not_matter(scale: float, shift: float, sign: float) -> None:
    image = noise()
    changed = self_similarity_context(sign * scale * image + shift)
    torch.testing.assert_close(changed, self_similarity_context(image), atol=1e-3, rtol=0)


def test_largest_value_of_each_voxel_is_one() -> None:
    found = self_similarity_context(noise())
    assert bool((found.amax(0) == 1.0).all())
    assert float(found.amin()) >= 0.0


def test_flat_image_gives_ones() -> None:
    assert bool((self_similarity_context(torch.full((8, 8, 8), -1000.0)) == 1.0).all())
