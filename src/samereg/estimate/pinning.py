"""A small smooth correction of a transform that takes landmarks where they belong, and folds nothing."""

from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.estimate.outcome import Outcome
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import jacobian_determinant_mm
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.matching.landmarks import Landmarks, listed

MIN_JACOBIAN = 0.1
"""As of SAM-coarse: anatomy does not shrink to a tenth."""

MIN_REACH_MM = 40.0
REACH_PER_MM = 5.0
"""Reach of the correction for each mm of it: the kernel's slope is at most 2.1 / reach, so that one landmark alone
changes lengths by 42 % at most."""

FIELD_MM = 4.0
FIELD_PER_REACH = 1.0 / 12.0
"""Spacing of the field, at least and for each mm of reach: a landmark between its voxels is missed by at most a
fourteenth of the correction."""

TRIES = ((1.0, 0.01), (1.5, 0.01), (2.0, 0.1), (3.0, 0.3), (4.0, 1.0))
"""Reach and softness, one after another until nothing folds: softer landmarks are kept less exactly."""

KEPT_MM = 3.0
"""A landmark that ends farther from its place is named."""

NEGLIGIBLE_MM = 0.05
BLOCK_POINTS = 50_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pinned:
    """A transform that keeps landmarks.

    Attributes:
        transform: fixed world to moving world.
        outcome: converged exactly where every landmark is kept to `KEPT_MM`; otherwise the message names the others.
    """

    transform: Transform
    outcome: Outcome


def pin(transform: Transform, landmarks: Landmarks) -> Pinned:
    """A transform followed by a correction of the moving world that takes landmarks to their places.

    Radial basis functions of compact support (Wendland's C2), ``sum_i a_i phi(|y - y_i| / r)``, through what each
    landmark lacks, with reach ``r`` in proportion to that: places farther away from all landmarks do not move. Where
    the correction would fold, it is made wider and softer.

    Args:
        transform: fixed world to moving world.
        landmarks: at least one.
    """
    landed_mm = transform.apply(landmarks.fixed_mm)
    lacking_mm = landmarks.moving_mm - landed_mm
    largest_mm = float(lacking_mm.norm(dim=1).max())
    if largest_mm <= NEGLIGIBLE_MM:
        return Pinned(transform=transform, outcome=_outcome(landmarks, transform, tries=0))
    reach_mm = max(MIN_REACH_MM, REACH_PER_MM * largest_mm)
    for number, (wider, softness) in enumerate(TRIES, start=1):
        correction = _correction(landed_mm, lacking_mm, reach_mm=wider * reach_mm, softness=softness)
        if float(jacobian_determinant_mm(correction).min()) >= MIN_JACOBIAN:
            pinned = chain(first=transform, then=correction)
            return Pinned(transform=pinned, outcome=_outcome(landmarks, pinned, tries=number))
    return Pinned(transform=transform, outcome=_outcome(landmarks, transform, tries=len(TRIES)))


def _outcome(landmarks: Landmarks, transform: Transform, *, tries: int) -> Outcome:
    residual_mm = landmarks.residual_mm(transform)
    order = residual_mm.argsort(descending=True).tolist()
    missed = tuple(landmarks.names[index] for index in order if float(residual_mm[index]) > KEPT_MM)
    if not missed:
        message = f"every landmark is kept to {float(residual_mm.max()):.1f} mm"
        return Outcome(converged=True, message=message, iterations=tries)
    message = (
        f"a map without folds does not go through the landmark {listed(missed)}: up to "
        f"{float(residual_mm.max()):.0f} mm are left; check where they were placed"
    )
    return Outcome(converged=False, message=message, iterations=tries)


def _correction(
    places_mm: Float64[Tensor, "n 3"], wanted_mm: Float64[Tensor, "n 3"], *, reach_mm: float, softness: float
) -> Displacement:
    """The field on a grid of its own, zero at every face of it."""
    kernel = _wendland(torch.cdist(places_mm, places_mm) / reach_mm)
    loads = torch.linalg.solve(kernel + softness * torch.eye(len(kernel), dtype=torch.float64), wanted_mm)
    grid = _grid_around(places_mm, reach_mm)
    centres_mm = voxel_centres_mm(grid).reshape(-1, 3)
    rows = [
        (_wendland(torch.cdist(block, places_mm) / reach_mm) @ loads).float()
        for block in centres_mm.split(BLOCK_POINTS)
    ]
    return Displacement(grid=grid, data=torch.cat(rows).T.reshape(3, *grid.shape).contiguous())


def _grid_around(places_mm: Float64[Tensor, "n 3"], reach_mm: float) -> Grid:
    spacing_mm = max(FIELD_MM, FIELD_PER_REACH * reach_mm)
    low, high = places_mm.amin(dim=0) - reach_mm, places_mm.amax(dim=0) + reach_mm
    width, height, depth = (ceil(extent / spacing_mm) + 1 for extent in (high - low).tolist())
    x, y, z = low.tolist()
    return axis_aligned_grid((depth, height, width), (spacing_mm,) * 3, (x, y, z))


def _wendland(ratio: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """``(1 - r)^4 (4 r + 1)`` up to 1, and 0 beyond (Wendland, 1995)."""
    left = (1.0 - ratio).clamp(min=0.0)
    value: Tensor = left.pow(4) * (4.0 * ratio + 1.0)
    return value
