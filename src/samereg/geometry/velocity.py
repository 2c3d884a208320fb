"""Diffeomorphic transforms: exponentials of stationary velocity fields."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.errors import GeometryError
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_index_field, to_index_field
from samereg.geometry.grid import Grid
from samereg.ops.ambient import plain_torch
from samereg.ops.fields import exponential, squarings_for


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Velocity:
    """``y = exp(v)(x)``, fixed world to moving world, LPS+ mm: the flow along ``v`` for unit time.

    Integrated once at construction, by scaling and squaring. The identity outside its grid, so ``v`` should decay to
    zero at the border.

    Attributes:
        grid: positions of the vectors, in the fixed world.
        data: ``v``, components (x, y, z) of the world, mm per unit time.
        displacement: ``exp(v)(x) - x`` on the same grid.

    Raises:
        GeometryError: data and grid of different shapes.
    """

    grid: Grid
    data: Float[Tensor, "3 d h w"]
    displacement: Displacement = field(init=False)

    @plain_torch()
    def __post_init__(self) -> None:
        """Check that the array fits its grid, and integrate."""
        shape = tuple(self.data.shape[1:])
        if shape != self.grid.shape:
            raise GeometryError(f"a velocity of shape {shape} does not fit a grid of shape {self.grid.shape}")
        with torch.no_grad():
            velocity = to_index_field(Displacement(grid=self.grid, data=self.data))
            flow = exponential(velocity, squarings=squarings_for(velocity))
        object.__setattr__(self, "displacement", from_index_field(flow, self.grid))

    @plain_torch()
    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""
        return self.displacement.apply(points_mm)

    @plain_torch()
    def inverse(self) -> "Velocity":
        """The flow along ``-v``: moving world to fixed world."""
        return Velocity(grid=self.grid, data=-self.data)
