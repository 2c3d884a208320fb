"""Registrations whose answer is known: a scan against itself, bent, turned and with other contrast."""

from dataclasses import replace

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.chain import Chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, bounding_grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.resample import resample_volume
from samereg.matching.embed import Embedder
from samereg.matching.points import grid_points
from samereg.pipeline.register import register
from samereg.pipeline.stage import Stage

BEND_MM = 20.0
"""Largest displacement of the smooth deformation."""


def bent_and_turned(grid: Grid) -> Transform:
    """A known affine map, then a smooth deformation of up to 20 mm: moving world to fixed world."""
    angle = torch.deg2rad(torch.tensor(6.0, dtype=torch.float64))
    turn = torch.eye(3, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = torch.cos(angle)
    turn[0, 1], turn[1, 0] = -torch.sin(angle), torch.sin(angle)
    linear = turn @ torch.diag(torch.tensor([1.06, 0.95, 1.04], dtype=torch.float64))
    centre = grid.centre_mm
    shift = torch.tensor([12.0, -15.0, 18.0], dtype=torch.float64)
    affine = Affine.from_parts(linear, centre + shift - linear @ centre)
    lattice = bounding_grid(grid, spacing_mm=8.0, margin_mm=64.0)
    x = (voxel_centres_mm(lattice) - centre) / 45.0
    waves = torch.stack([torch.sin(x[..., 1] + 0.5), torch.cos(x[..., 2]), torch.sin(x[..., 0] + x[..., 2])])
    waves *= BEND_MM / waves.norm(dim=0).max()
    return Chain(first=affine, then=Displacement(grid=lattice, data=waves.float()))


def with_agent(volume: Volume) -> Volume:
    """The scan with its soft-tissue band lifted, as injected agent does: not monotone."""
    lifted = volume.data + 120.0 * torch.exp(-0.5 * ((volume.data - 45.0) / 25.0) ** 2)
    return replace(volume, data=lifted)


def error_mm(
    fixed: Volume, to_fixed: Transform | None, embedder: Embedder, stages: tuple[Stage, ...]
) -> Float64[Tensor, " n"]:
    """How far each body point of a scan is from where it should have been sent.

    Args:
        fixed: the scan.
        to_fixed: map from the moving scan, made from the fixed one, back to it; None takes the scan itself.
        embedder: the anatomical embedding.
        stages: what is to find it.
    """
    back = to_fixed or Affine.identity()
    moving = with_agent(resample_volume(fixed, to_fixed, fixed.grid)) if to_fixed else fixed
    found = register(fixed, moving, stages=stages, embedder=embedder).transform
    points_mm = grid_points(fixed.grid, body=body_mask(fixed), stride_vox=6)
    landed_mm = found.apply(points_mm)
    visible = fixed.grid.contains(landed_mm)
    return (back.apply(landed_mm) - points_mm).norm(dim=1)[visible]
