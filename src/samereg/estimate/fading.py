"""Extends a field beyond its grid until it decays to zero, which readers assume outside a grid."""

from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import padded

MAX_SLOPE = 0.5
"""Maximum slope of the decay, mm per mm: well below 1, at which the map would fold."""

EASE_MM = 24.0
"""Length in mm of the smooth start and end of the decay: four voxels of a coarse field."""

NEGLIGIBLE_MM = 1e-3
"""Maximum displacement in mm at a grid face that needs no extension."""


def faded_out(displacement: Displacement) -> Displacement:
    """The field extended to a larger grid, zero at all its faces.

    Outside a face, border values decay over a length proportional to their size. Where a grid
    ends, ITK and tools based on it use the identity: a field that is not zero there is discontinuous,
    which is visible in a larger field of view.

    Args:
        displacement: fixed world to moving world.

    Returns:
        The given vectors on the given grid, extended by voxels of the same lattice.
    """
    before, after = [], []
    for axis, spacing_mm in enumerate(displacement.grid.spacing_mm):
        along = displacement.data.movedim(axis + 1, 1)
        before.append(_length_vox(along[:, 0], spacing_mm))
        after.append(_length_vox(along[:, -1], spacing_mm))
    # The innermost axis comes first, as torch expects.
    sides = [length for pair in zip(before[::-1], after[::-1], strict=True) for length in pair]
    data = functional.pad(displacement.data[None], sides, mode="replicate")[0]
    for axis, spacing_mm in enumerate(displacement.grid.spacing_mm):
        fade = _fade(displacement.grid.shape[axis], before[axis], after[axis], spacing_mm).to(data)
        data = data * fade.view([-1 if axis == k else 1 for k in range(3)])
    grid = padded(displacement.grid, (before[0], before[1], before[2]), (after[0], after[1], after[2]))
    return Displacement(grid=grid, data=data)


def _length_vox(face: Float[Tensor, "3 a b"], spacing_mm: float) -> int:
    """Voxels over which the field at a face decays."""
    largest_mm: float = float(face.square().sum(0).max()) ** 0.5
    if largest_mm <= NEGLIGIBLE_MM:
        return 0
    length_mm: float = max(largest_mm / MAX_SLOPE + EASE_MM, 2.0 * EASE_MM)
    return ceil(length_mm / spacing_mm)


def _fade(count: int, before: int, after: int, spacing_mm: float) -> Float[Tensor, " n"]:
    """Factors along one axis: 1 on the given voxels, 0 on the outermost new ones."""
    index = torch.arange(-before, count + after, dtype=torch.float64)
    left = _profile(-index * spacing_mm, before * spacing_mm)
    right = _profile((index - (count - 1)) * spacing_mm, after * spacing_mm)
    return left * right


def _profile(distance_mm: Float[Tensor, " n"], length_mm: float) -> Float[Tensor, " n"]:
    """From 1 at distance 0 to 0 at the full length: linear, with a parabola over `EASE_MM` at either end."""
    if length_mm == 0.0:
        return torch.ones_like(distance_mm)
    gone = distance_mm.clamp(0.0, length_mm)
    slope = 1.0 / (length_mm - EASE_MM)
    begun, ended = gone.clamp(max=EASE_MM), (length_mm - gone).clamp(max=EASE_MM)
    # Integral of a slope that rises, is constant, and falls.
    straight = (gone - EASE_MM).clamp(0.0, length_mm - 2.0 * EASE_MM)
    falling = EASE_MM / 2.0 - ended.square() / (2.0 * EASE_MM)
    left: Tensor = 1.0 - slope * (begun.square() / (2.0 * EASE_MM) + straight + falling)
    return left.clamp(min=0.0)
