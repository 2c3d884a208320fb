"""Geometric augmentation: randomly placed, scaled, rotated and deformed views, with the exact maps between them.

Index units throughout: a view's voxels and the scan's voxels, both along (d, h, w).
"""

from dataclasses import dataclass
from math import ceil, log

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samereg.ops.sample import identity_grid, sample_grid

INVERSE_ITERATIONS = 10
"""Iterations of the inversion, which contracts by about 0.3 per step to below a thousandth of a voxel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Ranges of the geometric augmentation.

    Attributes:
        scale: factor between the smallest and the unchanged size, and the unchanged and the largest.
        stretch: the same, each axis by itself.
        rotation_deg: maximum angle about each axis.
        bend_vox: standard deviation of the elastic displacement at its control points.
        bend_spacing_vox: distance between those.
        shift_vox: largest offset of the view's centre.
    """

    scale: float = 1.25
    stretch: float = 1.1
    rotation_deg: float = 12.0
    bend_vox: float = 3.0
    bend_spacing_vox: float = 24.0
    shift_vox: float = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewMap:
    """The map from view voxels to scan voxels: `scan = centre + linear (view - middle) + bend(view)`."""

    shape: tuple[int, int, int]
    centre: Float[Tensor, "3"]
    linear: Float[Tensor, "3 3"]
    bend: Float[Tensor, "1 3 ld lh lw"]
    bend_spacing: float

    def to_scan(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Scan positions of view positions."""
        straight: Tensor = self.centre + (points - self._middle()) @ self.linear.T
        return straight + self._bent(points)

    def from_scan(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """View positions of scan positions, by fixed-point iteration on the bend."""
        back: Tensor = torch.linalg.inv(self.linear).T
        view: Tensor = (points - self.centre) @ back + self._middle()
        for _ in range(INVERSE_ITERATIONS):
            view = (points - self.centre - self._bent(view)) @ back + self._middle()
        return view

    def contains(self, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Which view positions lie between the outermost voxel centres."""
        return ((points >= 0) & (points <= torch.tensor(self.shape) - 1)).all(-1)

    def _middle(self) -> Float[Tensor, "3"]:
        return (torch.tensor(self.shape, dtype=torch.float32) - 1) / 2

    def _bent(self, points: Tensor) -> Tensor:
        values = sample_grid(self.bend, points[None] / self.bend_spacing, clamp=True)[0]
        return values.movedim(0, -1)


def random_map(
    centre: Float[Tensor, "3"], shape: tuple[int, int, int], settings: Placement, generator: torch.Generator
) -> ViewMap:
    """A random view of `shape` voxels around a scan position."""

    def symmetric(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator) * 2 - 1

    scale = torch.exp(symmetric(1) * log(settings.scale) + symmetric(3) * log(settings.stretch))
    rotation = _rotation(symmetric(3) * torch.deg2rad(torch.tensor(settings.rotation_deg)))
    lattice = [ceil((n - 1) / settings.bend_spacing_vox) + 1 for n in shape]
    strength = settings.bend_vox * float(torch.rand((), generator=generator))
    return ViewMap(
        shape=shape,
        centre=centre + symmetric(3) * settings.shift_vox,
        linear=rotation * scale,
        bend=torch.randn(1, 3, *lattice, generator=generator) * strength,
        bend_spacing=settings.bend_spacing_vox,
    )


def render_view(
    intensity: Float[Tensor, "1 d h w"], view: ViewMap, *, background: float = -1.0
) -> Float[Tensor, "1 vd vh vw"]:
    """The scan resampled to the view, with background outside."""
    points = view.to_scan(identity_grid(view.shape))
    low = points.amin((0, 1, 2)).floor().long().clamp(min=0)
    high = (points.amax((0, 1, 2)).ceil().long() + 1).clamp(min=1)
    low = torch.minimum(low, torch.tensor(intensity.shape[1:]) - 2).clamp(min=0)
    high = torch.maximum(high, low + 2)
    (d0, h0, w0), (d1, h1, w1) = low.tolist(), high.tolist()
    needed = intensity[None, :, d0:d1, h0:h1, w0:w1].float()
    return sample_grid(needed, (points - low)[None], outside=background)[0]


def in_mask(mask: Bool[Tensor, "d h w"], points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Whether scan positions lie in the mask."""
    index = points.round().long()
    size = torch.tensor(mask.shape)
    inside = ((index >= 0) & (index < size)).all(-1)
    clamped = torch.minimum(index.clamp(min=0), size - 1)
    return inside & mask[clamped[:, 0], clamped[:, 1], clamped[:, 2]]


def _rotation(angles: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """Rotation matrix of a rotation vector, radians."""
    zero = torch.zeros(())
    a, b, c = angles
    skew = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero]).view(3, 3)
    rotation: Tensor = torch.linalg.matrix_exp(skew)
    return rotation
