"""Grids that formats require, and conversion of transforms to a single affine map or field."""

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
"""Refinement factor of the first field's grid if further fields follow."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spaces:
    """Grids of the fixed and moving images of a transform, if known.

    Attributes:
        fixed: grid of the fixed image, on which fields are written.
        moving: grid of the moving image.
        fixed_source: provenance of the fixed image, for formats that store its frame of reference.
        moving_source: provenance of the moving image.
    """

    fixed: Grid | None = None
    moving: Grid | None = None
    fixed_source: Source | None = None
    moving_source: Source | None = None

    def turned(self) -> "Spaces":
        """Spaces of the inverse: fixed and moving exchanged."""
        return Spaces(
            fixed=self.moving, moving=self.fixed, fixed_source=self.moving_source, moving_source=self.fixed_source
        )

    def need_fixed(self, purpose: str) -> Grid:
        """The fixed grid, which must be given.

        Raises:
            UnspecifiedError: not given.
        """
        if self.fixed is None:
            raise UnspecifiedError(f"{purpose} needs the fixed image.", what="fixed")
        return self.fixed

    def need_moving(self, purpose: str) -> Grid:
        """The moving grid, which must be given.

        Raises:
            UnspecifiedError: not given.
        """
        if self.moving is None:
            raise UnspecifiedError(f"{purpose} needs the moving image.", what="moving")
        return self.moving


def as_affine(transform: Transform, purpose: str) -> Affine:
    """The transform as an affine map.

    Raises:
        TransformError: it is not affine.
    """
    if not isinstance(transform, Affine):
        raise TransformError(f"{purpose} can hold only an affine map; this transform is deformable.")
    return transform


def as_field(transform: Transform, spaces: Spaces, path: Path) -> Displacement:
    """The transform as one displacement field.

    On the fixed grid if given. Otherwise on the grid of its first field, which is lossless if only
    affine maps follow, and twice as fine if fields follow. `path` is the output, for messages.

    Raises:
        UsageError: neither a fixed grid nor a field.
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
