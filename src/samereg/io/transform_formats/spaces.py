"""What formats need besides a transform: the two images' grids; and transforms as one affine map or one field."""

from dataclasses import dataclass
from pathlib import Path

from samereg.errors import TransformError, UnspecifiedError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_transform
from samereg.geometry.grid import Grid, refined
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity

FINER = 2
"""Voxels along each axis for each of the first field's, where further fields lie between its own."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spaces:
    """Grids of the two images that a transform lies between, where they are known.

    Attributes:
        fixed: of the image whose points are mapped, and on whose grid fields are written.
        moving: of the image that they are mapped into.
        fixed_source: where the fixed image came from, for formats that name its frame of reference.
        moving_source: the same of the moving image.
    """

    fixed: Grid | None = None
    moving: Grid | None = None
    fixed_source: Source | None = None
    moving_source: Source | None = None

    def turned(self) -> "Spaces":
        """Those of the inverse: fixed and moving exchanged."""
        return Spaces(
            fixed=self.moving, moving=self.fixed, fixed_source=self.moving_source, moving_source=self.fixed_source
        )

    def need_fixed(self, purpose: str) -> Grid:
        """The fixed grid.

        Raises:
            UnspecifiedError: not given.
        """
        if self.fixed is None:
            raise UnspecifiedError(f"{purpose} needs the fixed image.", what="fixed")
        return self.fixed

    def need_moving(self, purpose: str) -> Grid:
        """The moving grid.

        Raises:
            UnspecifiedError: not given.
        """
        if self.moving is None:
            raise UnspecifiedError(f"{purpose} needs the moving image.", what="moving")
        return self.moving


def as_affine(transform: Transform, purpose: str) -> Affine:
    """The transform if it is affine.

    Raises:
        TransformError: it bends.
    """
    if not isinstance(transform, Affine):
        raise TransformError(f"{purpose} holds an affine map alone; this transform bends.")
    return transform


def as_field(transform: Transform, spaces: Spaces, path: Path) -> Displacement:
    """The transform as one displacement field.

    On the fixed grid if there is one. Otherwise on the grid of its own first field, which loses nothing when only
    affine maps follow, and on one twice as fine when fields follow. `path` is the file that it is for.

    Raises:
        UsageError: no fixed grid, and no field to take a grid from.
    """
    if spaces.fixed is not None:
        return from_transform(transform, spaces.fixed)
    first, *rest = parts(transform)
    field = first.displacement if isinstance(first, Velocity) else first
    if isinstance(field, Displacement) and not rest:
        return field
    if isinstance(field, Displacement):
        only_affine = all(isinstance(part, Affine) for part in rest)
        return from_transform(transform, field.grid if only_affine else refined(field.grid, FINER))
    return from_transform(transform, spaces.need_fixed(f"{path}: a field of this transform"))
