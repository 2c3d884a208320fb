"""Images and label maps: an array, its grid, and how its values are stored."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from samereg.errors import GeometryError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source

IN_MEMORY = Source()
"""Source of an image of unknown origin."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Volume:
    """Intensities on a grid; Hounsfield units until preprocessing says otherwise.

    Attributes:
        data: channels first.
        grid: positions of the voxels.
        background: value of voxels without a measurement.
        stored_dtype: NumPy name of the data type in the file, used for writing.
        source: provenance of the image.

    Raises:
        GeometryError: data and grid of different shapes.
    """

    data: Float[Tensor, "c d h w"]
    grid: Grid
    background: float = -1024.0
    stored_dtype: str = "int16"
    source: Source = IN_MEMORY

    def __post_init__(self) -> None:
        """Check that the array fits its grid."""
        _check_shape(tuple(self.data.shape[1:]), self.grid)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelMap:
    """One whole number per voxel: 0 for background, any other for a structure.

    Attributes:
        data: label values.
        grid: positions of the voxels.
        stored_dtype: NumPy name of the data type in the file, used for writing.
        source: provenance of the image.

    Raises:
        GeometryError: data and grid of different shapes.
    """

    data: Int[Tensor, "d h w"]
    grid: Grid
    stored_dtype: str = "uint8"
    source: Source = IN_MEMORY

    def __post_init__(self) -> None:
        """Check that the array fits its grid."""
        _check_shape(tuple(self.data.shape), self.grid)


def _check_shape(shape: tuple[int, ...], grid: Grid) -> None:
    if shape != grid.shape:
        raise GeometryError(f"an array of shape {shape} does not fit a grid of shape {grid.shape}")
