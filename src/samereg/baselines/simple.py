"""Trivial baselines without search."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg._version import __version__
from samereg.geometry.affine import Affine
from samereg.geometry.grid import voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask

AIR_HU = -1000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """No registration: world coordinates as stored."""

    name = "identity"

    def version(self) -> str:
        """Release of samereg."""
        return f"samereg {__version__}"

    def register(self, fixed: Volume, moving: Volume) -> Transform:  # noqa: ARG002
        """The map that leaves every point where it is."""
        return Affine.identity()


@dataclass(frozen=True, kw_only=True, slots=True)
class CentreOfMass:
    """Aligns the bodies' centres of mass."""

    name = "centre-of-mass"

    def version(self) -> str:
        """Release of samereg."""
        return f"samereg {__version__}"

    def register(self, fixed: Volume, moving: Volume) -> Affine:
        """A translation.

        Raises:
            InputError: a scan shows no body.
        """
        shift_mm = centre_of_mass_mm(moving) - centre_of_mass_mm(fixed)
        return Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)


def centre_of_mass_mm(volume: Volume) -> Float64[Tensor, "3"]:
    """Centre of mass of the body, with density proportional to HU + 1000.

    Raises:
        InputError: the scan shows no body.
    """
    inside = body_mask(volume)
    density = (volume.data[0][inside].double() - AIR_HU).clamp(min=0.0)
    points_mm = voxel_centres_mm(volume.grid)[inside]
    centre: Tensor = (density[:, None] * points_mm).sum(0) / density.sum()
    return centre
