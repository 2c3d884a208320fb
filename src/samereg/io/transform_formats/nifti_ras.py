"""Displacement fields as NIfTI 5-D of intent 1006: RAS mm as the standard has it, fixed to moving."""

from pathlib import Path

import torch

from samereg.geometry.displacement import Displacement
from samereg.geometry.transform import Transform
from samereg.io.transform_formats.nifti_vectors import INTENT_DISPLACEMENT, read_vectors, write_vectors
from samereg.io.transform_formats.spaces import Spaces, as_field

_RAS_SIGNS = torch.tensor([-1.0, -1.0, 1.0])[:, None, None, None]


def read_nifti_ras(path: Path, _: Spaces) -> Transform:
    """The field, its x and y reversed."""
    stored = read_vectors(path)
    return Displacement(grid=stored.grid, data=stored.data * _RAS_SIGNS)


def write_nifti_ras(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Write a transform as displacements on the fixed grid, or on the grid of its first field."""
    field = as_field(transform, spaces, path)
    data = field.data * _RAS_SIGNS.to(field.data)
    write_vectors(data, field.grid, path, five_dimensional=True, intent=(INTENT_DISPLACEMENT, "", 0.0))
    return (path,)
