"""Transforms as one matrix, one field on a lattice with right angles, and one matrix more: all that DICOM can hold."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.errors import TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.domain import deep_in_domain, domain_points, in_domain
from samereg.geometry.fields import from_transform
from samereg.geometry.grid import Grid, bounding_grid, refined
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity

_LOG = logging.getLogger(__name__)

BOUND_MM = 0.05
"""Largest difference between a chain and the one field that stands for it, at points within."""
_POINTS = 5000
_FACTORS = (1, 2, 3, 4)
"""Voxels of the one field for each of the chain's first field, along each axis, tried in this order."""
_MAX_VOXELS = 2**27
"""Vectors that a DICOM file is written with: 1.6 GB."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OneGrid:
    """``y = after(before(x) + u(x))``; ``u`` is trilinear on the lattice and 0 beyond.

    Attributes:
        before: applied first, but `u` is still looked up at the point that it is applied to.
        field: ``u`` on a right-handed lattice with right angles, in the fixed world.
        after: applied last.
        largest_mm: largest difference that was found between this and the transform that it stands for; 0 if exact.
    """

    before: Affine
    field: Displacement
    after: Affine
    largest_mm: float


def as_one_grid(transform: Transform, path: Path) -> OneGrid:
    """A transform that bends in the form that DICOM has for it; exact where it has one field between affine maps.

    Anything else is sampled, on ever finer lattices until no point is off by more than `BOUND_MM`; a bound that is
    missed is logged as a warning, with the figure.

    Args:
        transform: fixed world to moving world.
        path: file that it is for.

    Raises:
        TransformError: a part that has no lattice.
    """
    before, middle, after = _split(transform)
    lattice = _lattice_of(middle[0], path)
    shifted = Grid(shape=lattice.shape, affine=before.inverse().matrix @ lattice.affine)
    if not shifted.is_orthonormal:
        # The lattice of the field is oblique where points of the fixed world reach it: sample with the matrix.
        spacing_mm = min(shifted.spacing_mm)
        return _sampled(chain_all([before, *middle]), bounding_grid(shifted, spacing_mm=spacing_mm), after, path)
    only = middle[0].displacement if isinstance(middle[0], Velocity) else middle[0]
    if len(middle) == 1 and isinstance(only, Displacement):
        field = right_handed(Displacement(grid=shifted, data=only.data))
        return OneGrid(before=before, field=field, after=after, largest_mm=0.0)
    return _sampled(chain_all([before, *middle]), shifted, after, path)


def right_handed(field: Displacement) -> Displacement:
    """A field with its planes in the order in which rows, columns and planes are right-handed along (w, h, d)."""
    # Axes (d, h, w) are right-handed where (w, h, d) are left-handed.
    if float(torch.linalg.det(field.grid.affine[:3, :3])) < 0.0:
        return field
    affine = field.grid.affine.clone()
    affine[:3, 3] = field.grid.to_world(torch.tensor([field.grid.shape[0] - 1.0, 0.0, 0.0], dtype=torch.float64))
    affine[:3, 0] *= -1.0
    return Displacement(grid=Grid(shape=field.grid.shape, affine=affine), data=field.data.flip(1))


def _split(transform: Transform) -> tuple[Affine, list[Transform], Affine]:
    """Affine map at the beginning, what bends, affine map at the end."""
    middle = list(parts(transform))
    before = middle.pop(0) if isinstance(middle[0], Affine) else Affine.identity()
    after = middle.pop() if middle and isinstance(middle[-1], Affine) else Affine.identity()
    if not isinstance(before, Affine) or not isinstance(after, Affine):
        raise TransformError("the ends of a split chain are no affine maps")
    return before, middle, after


def _lattice_of(part: Transform, path: Path) -> Grid:
    if isinstance(part, Displacement | Velocity | Spline):
        return part.grid
    raise TransformError(f"{path}: cannot hold a {type(part).__name__}; need affine maps, fields and splines.")


def _sampled(bending: Transform, lattice: Grid, after: Affine, path: Path) -> OneGrid:
    points = domain_points(bending, _POINTS)
    points = points[deep_in_domain(bending, points, margin_mm=max(lattice.spacing_mm))]
    expected = bending.apply(points)
    field, largest_mm = None, float("inf")
    for factor in _FACTORS:
        grid = refined(lattice, factor)
        if field is not None and (largest_mm <= BOUND_MM or grid.size > _MAX_VOXELS):
            break
        field = from_transform(bending, grid)
        inside = in_domain(field, points)
        off_mm = (field.apply(points) - expected).norm(dim=1)[inside]
        largest_mm = float(off_mm.max()) if len(off_mm) else 0.0
    if largest_mm > BOUND_MM or field is None:
        _LOG.warning("%s: one field takes points up to %.2f mm elsewhere than the transform", path, largest_mm)
    if field is None:
        raise TransformError(f"{path}: no lattice to sample the transform on; need a field.")
    return OneGrid(before=Affine.identity(), field=right_handed(field), after=after, largest_mm=largest_mm)
