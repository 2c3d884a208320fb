"""Self-similarity context (MIND-SSC), a contrast-independent descriptor of the neighbourhood of each voxel."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CHANNELS = 12

NOISE_RANGE = (1e-3, 1e3)
"""Local noise estimates are clamped to these multiples of their mean, for flat and textured regions."""


class Edge(NamedTuple):
    """Two neighbours of a voxel that are compared, at the offsets `first` and `first + across`."""

    first: tuple[int, int, int]
    across: tuple[int, int, int]


def edges(distance: int) -> tuple[Edge, ...]:
    """The twelve edges of the octahedron of the six neighbours at a distance, opposite edges in succession.

    Opposite edges are parallel: with the same vector `across`, their patch distances are one image read at
    two places.

    >>> edges(1)[0], edges(1)[1]
    (Edge(first=(1, 0, 0), across=(-1, 1, 0)), Edge(first=(0, -1, 0), across=(-1, 1, 0)))
    """
    found = []
    for (one, other), sign in product(combinations(range(3), 2), (1, -1)):
        start, end = [0, 0, 0], [0, 0, 0]
        start[one], end[other] = distance, sign * distance
        across = _vector([b - a for a, b in zip(start, end, strict=True)])
        found += [Edge(first=_vector(start), across=across), Edge(first=_vector([-v for v in end]), across=across)]
    return tuple(found)


def self_similarity_context(image: Float[Tensor, "d h w"], *, radius: int = 2) -> Float[Tensor, "12 d h w"]:
    """Twelve values in [0, 1] per voxel, of which the maximum is 1.

    ``exp(-(D_e - min D) / V)`` with ``D_e`` the summed squared difference of the patches around the two ends of an
    edge `e` between neighbouring neighbours, and ``V`` the mean of ``D_e - min D`` over the twelve edges (Heinrich et
    al., "Towards realtime multimodal fusion for image-guided interventions using self-similarities", MICCAI 2013).
    The border is replicated.

    Args:
        image: intensities in any unit; only differences between neighbours matter.
        radius: of the patches, and distance to the neighbours, voxels; larger is coarser.
    """
    distances = patch_distances(image, radius=radius)
    distances -= distances.amin(0, keepdim=True)
    noise = distances.mean(0)
    typical = max(float(noise.mean()), torch.finfo(noise.dtype).tiny)
    return distances.div_(-noise.clamp_(NOISE_RANGE[0] * typical, NOISE_RANGE[1] * typical)).exp_()


def patch_distances(image: Float[Tensor, "d h w"], *, radius: int) -> Float[Tensor, "12 d h w"]:
    """Summed squared difference of the patches at the two ends of each of `edges(radius)`."""
    around = functional.pad(image[None, None], (3 * radius,) * 6, mode="replicate")[0, 0]
    size = tuple(n + 4 * radius for n in image.shape)
    out = image.new_empty((CHANNELS, *image.shape))
    for pair in range(0, CHANNELS, 2):
        one, other = edges(radius)[pair : pair + 2]
        squared = _window(around, one.across, radius, size).sub(_window(around, (0, 0, 0), radius, size)).square_()
        summed = _valid_box_sum(squared, radius)
        out[pair] = _window(summed, one.first, radius, image.shape)
        out[pair + 1] = _window(summed, other.first, radius, image.shape)
    return out


def _window(x: Tensor, shift: tuple[int, int, int], border: int, size: Sequence[int]) -> Tensor:
    """Crop of a given size whose first voxel is at `border + shift` along each axis."""
    for axis, (by, length) in enumerate(zip(shift, size, strict=True)):
        x = x.narrow(axis, border + by, length)
    return x


def _valid_box_sum(x: Float[Tensor, "d h w"], radius: int) -> Float[Tensor, "d2 h2 w2"]:
    """Sums over all cubes of `2 radius + 1` voxels that lie entirely inside."""
    for axis in range(3):
        length = x.shape[axis] - 2 * radius
        total = x.narrow(axis, 0, length).clone()
        for offset in range(1, 2 * radius + 1):
            total += x.narrow(axis, offset, length)
        x = total
    return x


def _vector(values: list[int]) -> tuple[int, int, int]:
    d, h, w = values
    return d, h, w
