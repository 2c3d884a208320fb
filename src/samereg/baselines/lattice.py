"""Lattice of voxel blocks: positions of their centres, and interpolation of fields; index units."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.geometry.walk import linear_weights
from samereg.ops.sample import identity_grid, sample_grid


@dataclass(frozen=True, kw_only=True, slots=True)
class Lattice:
    """Blocks of `spacing` voxels along each axis, centred in the image.

    Attributes:
        shape: voxels of the image along (d, h, w).
        spacing: voxels of a block along each axis.
    """

    shape: tuple[int, int, int]
    spacing: int

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Number of blocks along (d, h, w), at least one."""
        d, h, w = (max(1, n // self.spacing) for n in self.shape)
        return d, h, w

    @property
    def first(self) -> tuple[int, int, int]:
        """First voxel of the first block along (d, h, w)."""
        d, h, w = (max(0, (n - b * self.spacing) // 2) for n, b in zip(self.shape, self.blocks, strict=True))
        return d, h, w

    @property
    def first_middle(self) -> Float64[Tensor, "3"]:
        """Centre of the first block, voxels."""
        return torch.tensor(self.first, dtype=torch.float64) + (self.spacing - 1) / 2

    def middles(self) -> Float[Tensor, "d h w 3"]:
        """Centre of every block, voxels."""
        return identity_grid(self.blocks) * self.spacing + self.first_middle.float()

    def at_voxels(self, field: Float[Tensor, "c d h w"]) -> Float[Tensor, "c d2 h2 w2"]:
        """Interpolates a field at block centres to all voxels: trilinear, constant outside."""
        return self._between(field, [torch.arange(n, dtype=torch.float64) for n in self.shape])

    def at_middles_of(self, other: "Lattice", field: Float[Tensor, "c d h w"]) -> Float[Tensor, "c d2 h2 w2"]:
        """Interpolates a field at block centres to those of another lattice of the same image."""
        places = [
            torch.arange(n, dtype=torch.float64) * other.spacing + start
            for n, start in zip(other.blocks, other.first_middle.tolist(), strict=True)
        ]
        return self._between(field, places)

    def sample(
        self, field: Float[Tensor, "c d h w"], points_vox: Float[Tensor, "d2 h2 w2 3"]
    ) -> Float[Tensor, "c d2 h2 w2"]:
        """Interpolates a field at block centres to any points: trilinear, constant outside."""
        places = (points_vox - self.first_middle.float()) / self.spacing
        return sample_grid(field[None], places[None], clamp=True)[0]

    def _between(self, field: Tensor, places: list[Tensor]) -> Tensor:
        weights = [
            linear_weights((place - start) / self.spacing, n).to(field)
            for place, start, n in zip(places, self.first_middle.tolist(), self.blocks, strict=True)
        ]
        in_plane = weights[1] @ field @ weights[2].T
        between: Tensor = (weights[0] @ in_plane.flatten(2)).unflatten(2, in_plane.shape[2:])
        return between


def consistent_pair(
    forward: Float[Tensor, "3 d h w"], backward: Float[Tensor, "3 d h w"], lattice: Lattice, *, rounds: int
) -> tuple[Float[Tensor, "3 d h w"], Float[Tensor, "3 d h w"]]:
    """Symmetrises two fields so that they become inverse to each other.

    ``u <- (u(x) - v(x + u(x))) / 2`` and the same for ``v``, several times (Heinrich et al., TMI 2013).

    Args:
        forward: ``u``, voxels, at the middles of the blocks.
        backward: ``v``, on the same lattice.
        lattice: where both stand.
        rounds: number of iterations; more make them closer to inverse.
    """
    middles = lattice.middles()
    for _ in range(rounds):
        landed = [lattice.sample(v, middles + u.movedim(0, -1)) for u, v in ((forward, backward), (backward, forward))]
        forward, backward = (forward - landed[0]) / 2, (backward - landed[1]) / 2
    return forward, backward
