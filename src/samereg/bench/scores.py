"""Scores of one transform on one labelled pair in physical units, with a state for labels that cannot be scored."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from math import isfinite
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samereg.bench.dataset import Dataset, Structure
from samereg.errors import TransformError
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import Grid, strided, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.metrics.fields import folded_fraction, jacobian_std, log_jacobian_std, non_diffeomorphic_volume
from samereg.metrics.landmarks import TargetError, target_error
from samereg.metrics.lesions import separated, volume_changes
from samereg.metrics.surface import surface_distances

MIN_VOXELS = 200
"""Minimum number of voxels of a structure of the fixed scan in the common field of view."""

FIELD_SPACING_MM = 4.0
"""Approximate spacing in mm of the field scores; rounded to a stride of the fixed grid."""

INVERSE_STRIDE = 4
"""Stride of the points of the inverse consistency, along each axis."""

State = Literal["scored", "cut", "too small", "not in common view", "lost", "missing in fixed", "missing in moving"]
"""State of a label: `too small` in the fixed scan, for any method; `not in common view` if the method
moves it out of the moving scan; `cut` is scored, but truncated by the border of a scan; `lost` is in
common view but has no voxels after resampling: Dice 0, no surface distance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelScore:
    """Scores of one structure.

    Attributes:
        value: label.
        name: of the structure.
        group: of structures it belongs to.
        state: of the label.
        dice: 0 to 1.
        asd_mm: average symmetric surface distance.
        hd95_mm: 95th percentile Hausdorff distance.
    """

    value: int
    name: str
    group: str
    state: State
    dice: float | None = None
    asd_mm: float | None = None
    hd95_mm: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldScore:
    """Regularity of a map over the body of the fixed scan.

    Attributes:
        jacobian_std: standard deviation of the Jacobian determinant (SAME, table 1).
        log_jacobian_std: standard deviation of its logarithm.
        folded_fraction: fraction of folded voxels by central differences.
        folded_mm3: non-diffeomorphic volume, including folds between voxels.
        folded_share: the same as a fraction of the volume.
        inverse_mm: mean inverse consistency error; None without an inverse.
    """

    jacobian_std: float
    log_jacobian_std: float
    folded_fraction: float
    folded_mm3: float
    folded_share: float
    inverse_mm: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores of one registration.

    Attributes:
        labels: one entry per label in either scan.
        dice: mean over the scored labels; None without any.
        asd_mm: mean over the labels with a surface.
        hd95_mm: the same.
        landmarks: error of the common landmarks.
        field: regularity.
        lesion_volume: mean over the fixed scan's lesions of how much the transform changes the volume of each, as a
            fraction, larger or smaller; None without lesions.
    """

    labels: tuple[LabelScore, ...]
    dice: float | None
    asd_mm: float | None
    hd95_mm: float | None
    landmarks: TargetError | None
    field: FieldScore
    lesion_volume: float | None = None


def score_labels(
    fixed: LabelMap, moving: LabelMap, transform: Transform, *, structures: Dataset
) -> tuple[LabelScore, ...]:
    """Scores every label in either scan, in the common field of view.

    Args:
        fixed: labels of the fixed scan.
        moving: labels of the moving scan, resampled by nearest neighbour.
        transform: fixed world to moving world.
        structures: names of the labels.
    """
    moved = resample_labels(moving, transform, fixed.grid).data
    ones = LabelMap(data=torch.ones_like(moving.data), grid=moving.grid)
    seen = resample_labels(ones, transform, fixed.grid).data > 0
    in_fixed, in_moving = (set(labels.data.unique().tolist()) - {0} for labels in (fixed, moving))
    scores = []
    for value in sorted(in_fixed | in_moving):
        structure = structures.structure(value)
        if value not in in_fixed or value not in in_moving:
            state: State = "missing in moving" if value in in_fixed else "missing in fixed"
            scores.append(_unscored(value, structure, state))
            continue
        whole = fixed.data == value
        if int(whole.sum()) < MIN_VOXELS:
            scores.append(_unscored(value, structure, "too small"))
            continue
        cut = bool((whole & ~seen).any()) or reaches_border(whole) or reaches_border(moving.data == value)
        scores.append(_score(value, structure, (whole & seen, (moved == value) & seen), fixed.grid, cut=cut))
    return tuple(scores)


def reaches_border(mask: Bool[Tensor, "d h w"]) -> bool:
    """Whether a structure touches the border of its grid and may be truncated."""
    faces = [mask.select(axis, place) for axis in range(3) for place in (0, -1)]
    return any(bool(face.any()) for face in faces)


def score_field(transform: Transform, inverse: Transform | None, body: Bool[Tensor, "d h w"], grid: Grid) -> FieldScore:
    """Regularity of a map over a body.

    Args:
        transform: fixed world to moving world.
        inverse: moving world to fixed world, or None.
        body: evaluated voxels of the fixed scan.
        grid: of `body`.
    """
    stride = max(1, round(FIELD_SPACING_MM / min(grid.spacing_mm)))
    coarse, inside = strided(grid, stride), body[::stride, ::stride, ::stride]
    field = from_transform(transform, coarse)
    jacobian = jacobian_determinant_mm(field)
    positions = voxel_centres_mm(coarse).movedim(-1, 0).float() + field.data
    handed = positions if float(torch.linalg.det(coarse.direction)) > 0 else -positions
    folded_mm3, folded_share = non_diffeomorphic_volume(handed, inside)
    step = INVERSE_STRIDE
    points_mm = voxel_centres_mm(coarse)[::step, ::step, ::step][inside[::step, ::step, ::step]]
    return FieldScore(
        jacobian_std=jacobian_std(jacobian, inside),
        log_jacobian_std=log_jacobian_std(jacobian, inside),
        folded_fraction=folded_fraction(jacobian, inside),
        folded_mm3=folded_mm3,
        folded_share=folded_share,
        inverse_mm=float(inverse_consistency_mm(transform, inverse, points_mm).mean()) if inverse else None,
    )


def score_landmarks(
    fixed_mm: Mapping[str, tuple[float, float, float]],
    moving_mm: Mapping[str, tuple[float, float, float]],
    transform: Transform,
) -> TargetError | None:
    """Target registration error of the common landmarks; None if there are none.

    Args:
        fixed_mm: landmarks of the fixed scan, by name.
        moving_mm: landmarks of the moving scan, by name.
        transform: fixed world to moving world.
    """
    common = [name for name in fixed_mm if name in moving_mm]
    if not common:
        return None
    start, target = (
        torch.tensor([places[name] for name in common], dtype=torch.float64) for places in (fixed_mm, moving_mm)
    )
    return target_error(transform.apply(start), target)


def score_lesions(lesions: LabelMap, transform: Transform) -> float | None:
    """Mean over lesions of how much a transform changes the volume of each, as a fraction; None without any.

    A lesion is a label value, or a connected part of a map of one value. A registration that makes two visits alike by
    shrinking or inflating a lesion scores well on everything else.

    Args:
        lesions: of the fixed scan.
        transform: fixed world to moving world.
    """
    changes = volume_changes(separated(lesions), transform)
    return mean_of([abs(change) for change in changes.values()])


def require_measured(scores: Scores, name: str) -> Scores:
    """Checks that all scores are finite.

    Args:
        scores: of one registration.
        name: of the pair, for messages.

    Raises:
        TransformError: a score is NaN or infinite, because of the transform.
    """
    numbers = [*astuple(scores.field), *(astuple(scores.landmarks) if scores.landmarks else ())]
    numbers.append(scores.lesion_volume)
    numbers += [number for label in scores.labels for number in (label.dice, label.asd_mm, label.hd95_mm)]
    if not all(isfinite(number) for number in numbers if number is not None):
        raise TransformError(f"{name}: its transform maps points to NaN or infinity; need finite numbers.")
    return scores


def mean_of(values: list[float | None]) -> float | None:
    """Mean of the values that are not None; None if there are none."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _score(
    value: int,
    structure: Structure,
    masks: tuple[Bool[Tensor, "d h w"], Bool[Tensor, "d h w"]],
    grid: Grid,
    *,
    cut: bool,
) -> LabelScore:
    first, second = _between_common_slices(*masks) if structure.partial else masks
    if int(first.sum()) < MIN_VOXELS:
        return _unscored(value, structure, "not in common view")
    if not bool(second.any()):
        return LabelScore(value=value, name=structure.name, group=structure.group, state="lost", dice=0.0)
    distances = surface_distances(first, second, spacing_mm=grid.spacing_mm)
    return LabelScore(
        value=value,
        name=structure.name,
        group=structure.group,
        state="cut" if cut else "scored",
        dice=2.0 * int((first & second).sum()) / int(first.sum() + second.sum()),
        asd_mm=distances.average_mm,
        hd95_mm=distances.hd95_mm,
    )


def _unscored(value: int, structure: Structure, state: State) -> LabelScore:
    return LabelScore(value=value, name=structure.name, group=structure.group, state=state)


def _between_common_slices(
    first: Bool[Tensor, "d h w"], second: Bool[Tensor, "d h w"]
) -> tuple[Bool[Tensor, "d h w"], Bool[Tensor, "d h w"]]:
    """Both masks restricted to their common range of slices; empty if there is none."""
    (low, high), (other_low, other_high) = _extent(first), _extent(second)
    kept = torch.zeros_like(first)
    kept[max(low, other_low) : max(0, min(high, other_high) + 1)] = True
    return first & kept, second & kept


def _extent(mask: Bool[Tensor, "d h w"]) -> tuple[int, int]:
    """First and last non-empty slice; (0, -1) if there is none."""
    slices: Int[Tensor, " n"] = torch.nonzero(mask.flatten(1).any(dim=1))[:, 0]
    return (int(slices[0]), int(slices[-1])) if len(slices) else (0, -1)
