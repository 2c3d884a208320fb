"""The inverse of a transform as a file is to hold it: exact between the nodes of its lattices too."""

from samereg.geometry.chain import chain_all, parts
from samereg.geometry.displacement import Displacement, image_grid, invert_displacement
from samereg.geometry.grid import refined
from samereg.geometry.transform import Transform

FINER = 2
"""Voxels of an inverse field for each of the field's own, along each axis."""


def fine_inverse(transform: Transform) -> Transform:
    """Moving world to fixed world, part by part; fields on lattices twice as fine as their own.

    The inverse of a trilinear field is not trilinear; between the nodes of as coarse a lattice it would be off.
    """
    return chain_all([_part_inverse(part) for part in reversed(parts(transform))])


def _part_inverse(part: Transform) -> Transform:
    if isinstance(part, Displacement):
        return invert_displacement(part, grid=refined(image_grid(part), FINER))
    return part.inverse()
