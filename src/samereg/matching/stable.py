"""Stable points: fixed points of matching to the other scan and back (SAME++, stable sampling)."""

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.matching.embed import EmbeddedVolume
from samereg.matching.search import Candidates, Search, search

SAME_PLACE_MM = 2.0
"""Minimum distance between points: one voxel of model space."""


def stable_points(
    fixed: EmbeddedVolume,
    moving: EmbeddedVolume,
    points_mm: Float64[Tensor, "n 3"],
    *,
    places: tuple[Candidates, Candidates],
    settings: Search,
    rounds: int,
) -> Float64[Tensor, "m 3"]:
    """Points of the fixed scan, moved to positions that are stable under matching there and back.

    Each round replaces a point by the match of its match. Distinctive positions attract the points
    around them and remain fixed; a point that keeps moving is left to the filter, by its cycle error.

    Args:
        fixed: scan of the points.
        moving: scan to search.
        points_mm: initial points, world frame (LPS+).
        places: candidates in the fixed and in the moving scan.
        settings: of the search.
        rounds: number of cycles; 0 leaves the points unchanged.

    Returns:
        The points without duplicates.
    """
    for _ in range(rounds):
        there = search(fixed.at(points_mm), points_mm, places[1], moving, settings=settings)
        back = search(moving.at(there.points_mm), there.points_mm, places[0], fixed, settings=settings)
        points_mm = _one_each(back.points_mm)
    return points_mm


def _one_each(points_mm: Float64[Tensor, "n 3"]) -> Float64[Tensor, "m 3"]:
    cells = (points_mm / SAME_PLACE_MM).round().long()
    _, place = torch.unique(cells, dim=0, return_inverse=True)
    order = torch.arange(len(points_mm))
    first = torch.full((int(place.max()) + 1 if len(place) else 0,), len(points_mm)).scatter_reduce(
        0, place, order, "amin"
    )
    return points_mm[first.sort().values]
