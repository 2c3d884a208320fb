"""Corresponding points of two scans."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matches:
    """Points of the fixed scan and their matches in the moving scan; world frame (LPS+), mm.

    Attributes:
        fixed_mm: points of the fixed scan.
        moving_mm: their matches.
        similarity: mean of local and global cosine, -1 to 1.
        cycle_mm: cycle error: distance between a point and the match of its match; infinite if not computed.
        used: whether the match passed the filter.
    """

    fixed_mm: Float64[Tensor, "n 3"]
    moving_mm: Float64[Tensor, "n 3"]
    similarity: Float[Tensor, " n"]
    cycle_mm: Float[Tensor, " n"]
    used: Bool[Tensor, " n"]

    def __len__(self) -> int:
        """Number of matches, used or not."""
        return self.fixed_mm.shape[0]


def no_matches() -> Matches:
    """An empty set of matches."""
    return Matches(
        fixed_mm=torch.empty(0, 3, dtype=torch.float64),
        moving_mm=torch.empty(0, 3, dtype=torch.float64),
        similarity=torch.empty(0),
        cycle_mm=torch.empty(0),
        used=torch.empty(0, dtype=torch.bool),
    )
