"""Quality measures of transforms."""

from jaxtyping import Float64
from torch import Tensor

from samereg.geometry.transform import Transform


def inverse_consistency_mm(
    transform: Transform, inverse: Transform, points_mm: Float64[Tensor, "n 3"]
) -> Float64[Tensor, "n"]:
    """Inverse consistency error of each point: ``|inverse(transform(p)) - p|``.

    Args:
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        points_mm: fixed-world positions.
    """
    distance: Tensor = (inverse.apply(transform.apply(points_mm)) - points_mm).norm(dim=-1)
    return distance
