"""Several label maps of one place made into one, by votes; knows no files and no registrations."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def vote(
    maps: Sequence[Int[Tensor, "d h w"]], weights: Sequence[Float[Tensor, "d h w"]]
) -> tuple[Int[Tensor, "d h w"], Float[Tensor, "d h w"]]:
    """The label with the most votes at every voxel, and its share of all votes.

    Args:
        maps: one label map of each voter, on one grid.
        weights: how much the vote of each counts at every voxel, 0 or more; 0 where it does not see the place.

    Returns:
        Labels: of two with equal votes the smaller value, 0 where nobody votes. Agreement: votes for that label over
        all votes, 0 to 1, 0 where nobody votes.
    """
    most = torch.zeros_like(weights[0])
    labels = torch.zeros_like(maps[0])
    for value in sorted({value for each in maps for value in each.unique().tolist()}):
        votes = torch.zeros_like(most)
        for each, weight in zip(maps, weights, strict=True):
            votes += weight * (each == value)
        better = votes > most
        most = torch.where(better, votes, most)
        labels = torch.where(better, value, labels)
    total = torch.stack(list(weights)).sum(dim=0)
    return labels, most / total.clamp(min=torch.finfo(total.dtype).tiny)


def agreement_with(
    labels: Int[Tensor, "d h w"], maps: Sequence[Int[Tensor, "d h w"]], weights: Sequence[Float[Tensor, "d h w"]]
) -> Float[Tensor, "d h w"]:
    """Share of votes for given labels, 0 to 1; 0 where nobody votes."""
    total = torch.stack(list(weights)).sum(dim=0)
    agreeing = torch.zeros_like(total)
    for each, weight in zip(maps, weights, strict=True):
        agreeing += weight * (each == labels)
    return agreeing / total.clamp(min=torch.finfo(total.dtype).tiny)
