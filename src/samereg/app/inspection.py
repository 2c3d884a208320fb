"""Describes a transform file: frame, direction, units, domain, size and folding, each with its origin."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

import torch

from samereg.app.transforms import kinds
from samereg.geometry.affine import Affine
from samereg.geometry.domain import domain_points, field_grid, in_domain
from samereg.geometry.grid import Grid, corners_mm, strided, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume_change import volume_change_at
from samereg.io.format_names import TransformFormatName
from samereg.io.transform_files import TRANSFORM_FORMATS, read_transform_file, recognise_transform
from samereg.io.transform_formats.spaces import Spaces

SAMPLES = 20000
MAX_VOXELS = 4_000_000
"""Maximum number of voxels at which folding is evaluated; larger grids are subsampled."""

Origin = Literal["stated in the file", "convention of the format", "given by the user", "guess", "measured"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One property of a file.

    Attributes:
        name: of the property.
        value: as text.
        sure: origin of the value.
    """

    name: str
    value: str
    sure: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """Description of a transform file.

    Attributes:
        path: the file.
        format: name of the format.
        why: evidence for the format.
        facts: properties, each with its origin.
        mean_mm: mean length of the displacement in the domain.
        max_mm: maximum sampled length.
        folded_fraction: fraction of the domain with non-positive Jacobian determinant.
    """

    path: Path
    format: str
    why: str
    facts: tuple[Fact, ...]
    mean_mm: float
    max_mm: float
    folded_fraction: float


def inspect_file(path: Path, *, format: TransformFormatName | None, spaces: Spaces) -> Inspection:
    """Determines the properties of a transform file.

    Args:
        path: the file.
        format: its format; None to detect it.
        spaces: grids of the two images, for formats in voxels.

    Raises:
        UsageError: the format cannot be detected, or a required image is not given.
        InputError: an invalid file.
    """
    if format is None:
        found = recognise_transform(path)
        name, why = found.format, found.why
        told: Origin = "stated in the file" if found.certain else "guess"
    else:
        name, why, told = str(format), "given by the user", "given by the user"
    transform = read_transform_file(path, format=name, spaces=spaces)
    entry = TRANSFORM_FORMATS[name]
    points = domain_points(transform, SAMPLES)
    lengths = (transform.apply(points) - points).norm(dim=1)
    folded = _folded(transform)
    measured = (
        Fact(name="domain", value=_domain(transform), sure="stated in the file"),
        Fact(name="mean displacement", value=f"{float(lengths.mean()):.2f} mm", sure="measured"),
        Fact(name="maximum displacement", value=f"{float(lengths.max()):.2f} mm", sure="measured"),
        Fact(name="folded", value=f"{100.0 * folded:.3f} % of the domain", sure="measured"),
    )
    facts = (
        Fact(name="format", value=f"{name} ({why})", sure=told),
        Fact(name="kind", value=", then ".join(kinds(transform)), sure="stated in the file"),
        Fact(name="frame", value=entry.frame, sure="convention of the format"),
        Fact(name="units", value=entry.units, sure="convention of the format"),
        Fact(name="direction", value=entry.direction, sure="convention of the format"),
        *measured,
    )
    return Inspection(
        path=path,
        format=name,
        why=why,
        facts=facts,
        mean_mm=float(lengths.mean()),
        max_mm=float(lengths.max()),
        folded_fraction=folded,
    )


def _domain(transform: Transform) -> str:
    grid = field_grid(transform)
    if grid is None:
        return "everywhere"
    corners = corners_mm(grid)
    low, high = corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist()
    sizes = " x ".join(map(str, grid.shape[::-1]))
    spacing = " x ".join(f"{step:.3g}" for step in grid.spacing_mm[::-1])
    box = ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
    return f"{sizes} voxels of {spacing} mm; LPS {box} mm; the identity beyond"


def _folded(transform: Transform) -> float:
    if isinstance(transform, Affine):
        return float(torch.linalg.det(transform.linear) <= 0.0)
    grid = field_grid(transform)
    if grid is None:
        return float("nan")
    points_mm = voxel_centres_mm(_bounded(grid)).flatten(0, 2)
    change = volume_change_at(transform, points_mm)
    return float((change[in_domain(transform, points_mm)] <= 0.0).double().mean())


def _bounded(grid: Grid) -> Grid:
    return strided(grid, max(1, ceil((grid.size / MAX_VOXELS) ** (1.0 / 3.0))))
