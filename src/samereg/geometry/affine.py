"""Affine transforms in world coordinates."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.errors import TransformError
from samereg.ops.ambient import plain_torch

_SINGULAR = 1e-12
"""Minimum determinant of an invertible matrix; anatomy never shrinks to a millionth along an axis."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Affine:
    """``y = A x + t``, fixed world to moving world, LPS+ mm.

    Attributes:
        matrix: ``[[A, t], [0, 1]]``. Copied in, float64 on the CPU.

    Raises:
        TransformError: a matrix that is not finite or whose last row is not (0, 0, 0, 1).
    """

    matrix: Float64[Tensor, "4 4"]

    @plain_torch()
    def __post_init__(self) -> None:
        """Copy and validate the matrix."""
        object.__setattr__(self, "matrix", self.matrix.detach().to("cpu", torch.float64, copy=True))
        if not bool(torch.isfinite(self.matrix).all()):
            raise TransformError("an affine transform needs a finite matrix, got NaN or infinity in it")
        if self.matrix[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
            raise TransformError(f"an affine matrix needs (0, 0, 0, 1) as its last row, got {self.matrix[3].tolist()}")

    @property
    def linear(self) -> Float64[Tensor, "3 3"]:
        """The matrix ``A``."""
        return self.matrix[:3, :3].clone()

    @property
    def translation_mm(self) -> Float64[Tensor, "3"]:
        """The translation vector ``t``: image of the world origin."""
        return self.matrix[:3, 3].clone()

    @plain_torch()
    def apply(self, points_mm: Float64[Tensor, "*n 3"]) -> Float64[Tensor, "*n 3"]:
        """Moving-world positions of fixed-world positions."""
        matrix = self.matrix.to(points_mm.device)
        return points_mm @ matrix[:3, :3].T + matrix[:3, 3]

    @plain_torch()
    def inverse(self) -> "Affine":
        """Moving world to fixed world, exactly.

        Raises:
            TransformError: a singular matrix.
        """
        if abs(float(torch.linalg.det(self.matrix[:3, :3]))) < _SINGULAR:
            raise TransformError("a singular affine transform has no inverse")
        inverse = torch.linalg.inv(self.matrix)
        inverse[3] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        return Affine(matrix=inverse)

    @staticmethod
    @plain_torch()
    def identity() -> "Affine":
        """The identity map."""
        return Affine(matrix=torch.eye(4, dtype=torch.float64))

    @staticmethod
    @plain_torch()
    def from_parts(linear: Float64[Tensor, "3 3"], translation_mm: Float64[Tensor, "3"]) -> "Affine":
        """The map ``y = linear x + translation_mm``."""
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = linear
        matrix[:3, 3] = translation_mm
        return Affine(matrix=matrix)
