"""Measures and maps of a registration, computed from its scans."""

from dataclasses import dataclass
from math import acos, degrees, nan

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.body import body_mask
from samereg.image.preprocess import to_isotropic
from samereg.image.resample import resample_labels
from samereg.metrics.overlap import dice
from samereg.pipeline.quality import MEASURED_SPACING_MM, local_similarity


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Maps:
    """Maps on a coarse grid over the fixed scan.

    Attributes:
        grid: the lattice.
        body: body mask of the fixed scan.
        deformation_mm: length of the displacement without its affine part.
        jacobian: Jacobian determinant; 0 or less where the transform folds.
        affine: least-squares affine map of the displacement over the body.
    """

    grid: Grid
    body: Bool[Tensor, "d h w"]
    deformation_mm: Float[Tensor, "d h w"]
    jacobian: Float[Tensor, "d h w"]
    affine: Affine


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """Median over the common body of the squared local correlation; NaN without overlap.

    Attributes:
        before: before registration, in world coordinates.
        after: after registration.
    """

    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganScore:
    """Scores of a structure in both label maps.

    Attributes:
        value: of the label.
        fixed_ml: volume in the fixed scan.
        moving_ml: volume in the moving scan.
        moved_ml: volume after resampling.
        dice_before: Dice before registration, 0 to 1.
        dice_after: Dice after registration.
    """

    value: int
    fixed_ml: float
    moving_ml: float
    moved_ml: float
    dice_before: float
    dice_after: float


def measure_maps(fixed: Volume, transform: Transform) -> Maps:
    """Deformation and Jacobian determinant over the fixed scan.

    Raises:
        InputError: the fixed scan shows no body.
    """
    coarse = to_isotropic(fixed, spacing_mm=MEASURED_SPACING_MM)
    body = body_mask(coarse)
    displacement = from_transform(transform, coarse.grid)
    affine = best_affine(displacement, body)
    points_mm = voxel_centres_mm(coarse.grid)
    rest_mm = displacement.data.movedim(0, -1) - (affine.apply(points_mm) - points_mm)
    return Maps(
        grid=coarse.grid,
        body=body,
        deformation_mm=rest_mm.norm(dim=-1).float(),
        jacobian=jacobian_determinant_mm(displacement),
        affine=affine,
    )


def best_affine(displacement: Displacement, body: Bool[Tensor, "d h w"]) -> Affine:
    """Least-squares affine map of a displacement over a body."""
    points_mm = voxel_centres_mm(displacement.grid)[body]
    targets_mm = points_mm + displacement.data.movedim(0, -1)[body].double()
    centre_mm = points_mm.mean(dim=0)
    rows = torch.cat([points_mm - centre_mm, torch.ones(len(points_mm), 1, dtype=torch.float64)], dim=1)
    solution = torch.linalg.lstsq(rows, targets_mm).solution
    linear = solution[:3].T
    return Affine.from_parts(linear, solution[3] - linear @ centre_mm)


def describe_affine(maps: Maps) -> tuple[tuple[str, str], ...]:
    """Translation of the body centroid, rotation and scale of the affine part, as names and values."""
    centre_mm = voxel_centres_mm(maps.grid)[maps.body].mean(dim=0)
    shift_mm = (maps.affine.apply(centre_mm) - centre_mm).tolist()
    rotation, stretch = _polar(maps.affine.linear)
    angle = degrees(acos(max(-1.0, min(1.0, (float(rotation.trace()) - 1.0) / 2.0))))
    scales = ", ".join(f"{100 * float(scale):.0f} %" for scale in stretch.diag())
    words = (("left", "right"), ("back", "front"), ("up", "down"))
    shift = ", ".join(f"{abs(v):.0f} mm {names[v < 0]}" for v, names in zip(shift_mm, words, strict=True))
    return ("Translation of the body centroid", shift), ("Rotation", f"{angle:.1f}°"), ("Scale along x, y, z", scales)


def measure_similarity(fixed: Volume, moving: Volume, transform: Transform) -> Similarity:
    """Local similarity of both scans in the common body before and after registration, in windowed HU.

    Raises:
        InputError: the fixed scan shows no body.
    """
    coarse = to_isotropic(fixed, spacing_mm=MEASURED_SPACING_MM)
    other = to_isotropic(moving, spacing_mm=MEASURED_SPACING_MM)
    body = body_mask(coarse)
    before, after = (local_similarity(coarse, other, chosen, body) for chosen in (Affine.identity(), transform))
    return Similarity(before=before, after=after)


def score_organs(fixed: LabelMap, moving: LabelMap, moved: LabelMap) -> tuple[OrganScore, ...]:
    """Volume and overlap of every structure in both label maps.

    Args:
        fixed: labels of the fixed scan.
        moving: labels of the moving scan.
        moved: moving labels resampled onto the grid of `fixed`.
    """
    unmoved = resample_labels(moving, Affine.identity(), fixed.grid)
    before, after = dice(fixed.data, unmoved.data), dice(fixed.data, moved.data)
    volumes = [_volumes_ml(each) for each in (fixed, moving, moved)]
    return tuple(
        OrganScore(
            value=value,
            fixed_ml=volumes[0][value],
            moving_ml=volumes[1][value],
            moved_ml=volumes[2].get(value, 0.0),
            dice_before=before.get(value, 0.0),
            dice_after=after.get(value, 0.0),
        )
        for value in sorted(set(volumes[0]) & set(volumes[1]))
    )


def _number(value: float | int | None) -> float:
    return nan if value is None else float(value)


def _polar(linear: Float64[Tensor, "3 3"]) -> tuple[Float64[Tensor, "3 3"], Float64[Tensor, "3 3"]]:
    """Polar decomposition: rotation and symmetric stretch."""
    left, singular, right = torch.linalg.svd(linear)
    return left @ right, right.T @ singular.diag() @ right


def _volumes_ml(labels: LabelMap) -> dict[int, float]:
    spacing = labels.grid.spacing_mm
    voxel_ml = spacing[0] * spacing[1] * spacing[2] / 1000.0
    low = int(labels.data.min())
    counts = torch.bincount((labels.data - low).flatten()).tolist()
    return {v: n * voxel_ml for v, n in enumerate(counts, start=low) if n and v != 0}
