"""Quality measures of a registration that need no labels."""

from dataclasses import dataclass
from math import nan

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import strided, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.preprocess import from_window, to_isotropic, window_hu
from samereg.image.resample import resample_volume
from samereg.matching.matches import Matches
from samereg.matching.points import grid_points, mask_at
from samereg.metrics.fields import folded_fraction
from samereg.objectives.similarity import local_ncc
from samereg.pipeline.pair import Pair

QUALITY_STRIDE_VOX = 2
"""Stride of folding and similarity, in voxels of model space: 4 mm."""

MEASURED_SPACING_MM = 4.0
"""Scans are compared on a lattice as fine as the field itself."""

WINDOW_RADIUS_VOX = 2
"""Window radius: 20 mm windows, close to SAME's 9 voxels of 2 mm."""

MIN_VOXELS = 100
"""Minimum number of common voxels for a meaningful similarity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Quality measures of a registration; NaN if one could not be measured.

    Attributes:
        match_count: used matches of the last matching stage.
        kept_fraction: their fraction of all searched points.
        match_error_mm: median distance between matches and transformed points.
        similarity: median over the common body of the squared local correlation, 0 to 1.
        inverse_consistency_mm: mean inverse consistency error of body points.
        folded_fraction: fraction of the body with non-positive Jacobian determinant.
        jacobian_std: standard deviation of the Jacobian determinant over the body, the paper's measure of smoothness.
        overlap_fraction: fraction of the fixed body mapped into the moving body.
    """

    match_count: int
    kept_fraction: float
    match_error_mm: float
    similarity: float
    inverse_consistency_mm: float
    folded_fraction: float
    jacobian_std: float
    overlap_fraction: float


def measure(pair: Pair, transform: Transform, inverse: Transform, matches: Matches) -> Quality:
    """Measures the quality of a transform over the body of the fixed scan."""
    grid = pair.fixed.model.grid
    points_mm = grid_points(grid, body=pair.fixed.body, stride_vox=4 * QUALITY_STRIDE_VOX)
    folded, spread = measure_regularity(pair, transform)
    errors_mm = match_errors_mm(matches, transform)
    return Quality(
        match_count=int(matches.used.sum()),
        kept_fraction=float(matches.used.double().mean()) if len(matches) else nan,
        match_error_mm=float(errors_mm.median()) if len(errors_mm) else nan,
        similarity=_similarity(pair, transform),
        inverse_consistency_mm=float(_reachable_error_mm(pair, transform, inverse, points_mm).mean()),
        folded_fraction=folded,
        jacobian_std=spread,
        overlap_fraction=float(
            mask_at(pair.moving.body, pair.moving.model.grid, transform.apply(points_mm)).double().mean()
        ),
    )


def measure_regularity(pair: Pair, transform: Transform) -> tuple[float, float]:
    """Folded fraction, and standard deviation of the Jacobian determinant, over the body of the fixed scan."""
    at = slice(None, None, QUALITY_STRIDE_VOX)
    jacobian = jacobian_determinant_mm(from_transform(transform, strided(pair.fixed.model.grid, QUALITY_STRIDE_VOX)))
    body = pair.fixed.body[at, at, at].cpu()
    return folded_fraction(jacobian, body), float(jacobian[body].std())


def match_errors_mm(matches: Matches, transform: Transform) -> Float64[Tensor, " n"]:
    """Distance between every used match and its transformed point."""
    distance: Tensor = (transform.apply(matches.fixed_mm[matches.used]) - matches.moving_mm[matches.used]).norm(dim=1)
    return distance


def local_similarity(fixed: Volume, moving: Volume, transform: Transform, body: Bool[Tensor, "d h w"]) -> float:
    """Median over the common body of the squared local correlation of two CT scans, 0 to 1; NaN without overlap.

    Args:
        fixed: HU, at `MEASURED_SPACING_MM`.
        moving: the same.
        transform: fixed world to moving world.
        body: voxels of the fixed body.
    """
    points_mm = voxel_centres_mm(fixed.grid)[body]
    common = body.clone()
    common[body] = moving.grid.contains(transform.apply(points_mm))
    if int(common.sum()) < MIN_VOXELS:
        return nan
    moved = resample_volume(moving, transform, fixed.grid)
    images = [window_hu(each.data.float())[None] for each in (fixed, moved)]
    return float(local_ncc(images[0], images[1], radius=WINDOW_RADIUS_VOX)[0, 0][common].median())


def _similarity(pair: Pair, transform: Transform) -> float:
    fixed, moving = (
        to_isotropic(from_window(scan.model), spacing_mm=MEASURED_SPACING_MM) for scan in (pair.fixed, pair.moving)
    )
    at = slice(None, None, QUALITY_STRIDE_VOX)
    body = torch.zeros(fixed.grid.shape, dtype=torch.bool)
    seen = pair.fixed.body[at, at, at].cpu()
    body[: seen.shape[0], : seen.shape[1], : seen.shape[2]] = seen
    return local_similarity(fixed, moving, transform, body)


def _reachable_error_mm(
    pair: Pair, transform: Transform, inverse: Transform, points_mm: Float64[Tensor, "n 3"]
) -> Float64[Tensor, " m"]:
    """Inverse consistency error at points mapped into the moving scan; at all points if there are none."""
    landed = pair.moving.model.grid.contains(transform.apply(points_mm))
    kept = points_mm[landed] if bool(landed.any()) else points_mm
    return inverse_consistency_mm(transform, inverse, kept)
