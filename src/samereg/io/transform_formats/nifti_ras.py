"""Displacement fields as 5-D NIfTI with intent 1006: RAS mm as in the standard, fixed to moving."""

from pathlib import Path

import torch

from samereg.geometry.displacement import Displacement
from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised
from samereg.io.nifti import NIFTI_SUFFIXES
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.nifti_vectors import (
    INTENT_DISPLACEMENT,
    read_vectors,
    vector_header,
    write_vectors,
)
from samereg.io.transform_formats.spaces import Spaces, as_field

_RAS_SIGNS = torch.tensor([-1.0, -1.0, 1.0])[:, None, None, None]


def read_nifti_ras(path: Path, _: Spaces) -> Transform:
    """Reads a field, negating x and y."""
    stored = read_vectors(path)
    return Displacement(grid=stored.grid, data=stored.data * _RAS_SIGNS)


def write_nifti_ras(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes a transform as displacements on the fixed grid, or on the grid of its first field."""
    field = as_field(transform, spaces, path)
    data = field.data * _RAS_SIGNS.to(field.data)
    write_vectors(data, field.grid, path, five_dimensional=True, intent=(INTENT_DISPLACEMENT, "", 0.0))
    return (path,)


def _recognise(path: Path) -> Recognised | None:
    header = vector_header(path)
    if header is None or header.intent != INTENT_DISPLACEMENT or len(header.sizes) != 5:
        return None
    return Recognised(format="nifti-1006", certainty="declared", why="5-D with intent 1006, displacement vectors")


NIFTI_RAS = TransformFormat(
    name="nifti-1006",
    holds="5-D images of displacement vectors with intent 1006",
    frame="RAS",
    units="mm",
    suffixes=NIFTI_SUFFIXES,
    recognise=_recognise,
    read=read_nifti_ras,
    write=write_nifti_ras,
)
