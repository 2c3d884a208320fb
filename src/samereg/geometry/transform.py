"""Protocol of spatial transforms: invertible maps from fixed world to moving world."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float64
from torch import Tensor


@runtime_checkable
class Transform(Protocol):
    """Map from fixed world to moving world, LPS+ mm: ``moved(p) = moving(T(p))``."""

    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""

    def inverse(self) -> "Transform":
        """Map from moving world to fixed world."""
