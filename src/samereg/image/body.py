"""Body segmentation: the patient including lungs, without table, blankets and surrounding air."""

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume

BODY_THRESHOLD_HU = -300.0
"""HU threshold between lung and fat; skin, fat and denser tissue are above it."""

WORKING_SPACING_MM = 4.0
CORE_RADIUS_MM = 8.0
"""Opening radius in mm: structures thinner than twice this (table shell, blanket, tubes) are removed."""

MAX_SIDES = 1
"""A lung truncated by the field of view touches one image side; air outside the body touches adjacent sides."""

MIN_BODY_ML = 200.0


def body_mask(volume_hu: Volume) -> Bool[Tensor, "d h w"]:
    """Body mask: tissue and the air it encloses in axial slices, opened, largest connected component.

    Computed on a 4 mm lattice, so its boundary is accurate to about 2 mm. Arms that do not touch the body in
    the scan are excluded.

    Args:
        volume_hu: CT in HU, any orientation.

    Raises:
        InputError: no connected tissue of at least 200 ml.
    """
    grid = volume_hu.grid
    strides = [max(1, round(WORKING_SPACING_MM / s)) for s in grid.spacing_mm]
    lattice_mm = np.array([n * s for n, s in zip(strides, grid.spacing_mm, strict=True)])
    coarse_hu = volume_hu.data[0, :: strides[0], :: strides[1], :: strides[2]]
    tissue = coarse_hu.cpu().numpy() > BODY_THRESHOLD_HU
    axes = _anatomical_axes(grid)
    body = np.moveaxis(_body(np.moveaxis(tissue, axes, (0, 1, 2)), lattice_mm[axes]), (0, 1, 2), axes)
    found_ml = float(body.sum() * lattice_mm.prod() / 1000.0)
    if found_ml < MIN_BODY_ML:
        raise InputError(
            f"{volume_hu.source.label}: shows no body: {found_ml:.0f} ml of connected tissue above "
            f"{BODY_THRESHOLD_HU:.0f} HU; need at least {MIN_BODY_ML:.0f} ml."
        )
    nearest = [
        np.minimum((np.arange(n) + s // 2) // s, m - 1) for n, s, m in zip(grid.shape, strides, body.shape, strict=True)
    ]
    return torch.from_numpy(body[np.ix_(*nearest)]).to(volume_hu.data.device)


def _anatomical_axes(grid: Grid) -> list[int]:
    """Array axes nearest to head-feet, back-front and right-left."""
    along = grid.direction.abs().numpy()
    axial = int(along[2].argmax())
    others = [a for a in range(3) if a != axial]
    frontal = max(others, key=lambda a: float(along[1, a]))
    return [axial, frontal, 3 - axial - frontal]


def _body(tissue: NDArray[np.bool_], lattice_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Body among tissue; axes head-feet, back-front, right-left."""
    radii_vox = CORE_RADIUS_MM / lattice_mm
    core = _largest(_eroded(tissue, radii_vox))
    if not core.any():
        return core
    filled = tissue | _air_inside(tissue, core)
    heart = _largest(_eroded(filled, radii_vox))
    opened = _dilated(heart, radii_vox) & filled
    return opened | _air_inside(opened, core)


def _air_inside(tissue: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Air enclosed by tissue in an axial slice, except components entirely anterior or posterior to the core.

    This excludes the air in a hollow table, which lies behind the patient.
    """
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[[0, 2]] = False
    pieces, count = ndimage.label(~tissue, structure=in_plane)
    sides = np.zeros(count + 1, dtype=np.int64)
    for edge in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        sides[np.unique(edge)] += 1
    inside = sides <= MAX_SIDES
    inside[0] = False
    slices, rows, _ = np.nonzero(pieces)
    owner = pieces[pieces > 0]
    sizes = np.maximum(np.bincount(owner, minlength=count + 1), 1)
    centre_row = np.bincount(owner, weights=rows, minlength=count + 1) / sizes
    own_slice = np.zeros(count + 1, dtype=np.int64)
    own_slice[owner] = slices
    first, last = _row_range(core)
    inside &= (centre_row >= first[own_slice]) & (centre_row <= last[own_slice])
    return np.asarray(inside[pieces])


def _row_range(core: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last row of the core in each slice; those of the whole core for slices without it."""
    rows = np.asarray(core.any(axis=2))
    rows[~rows.any(axis=1)] = rows.any(axis=0)
    return rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)


def _eroded(mask: NDArray[np.bool_], radii_vox: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Erosion by an ellipsoid; outside the array counts as mask."""
    return ~_dilated(~mask, radii_vox)


def _dilated(mask: NDArray[np.bool_], radii_vox: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Dilation by a box, axis by axis, with running maxima whose cost is independent of the radius."""
    grown = mask.astype(np.uint8)
    for axis, radius in enumerate(radii_vox):
        width = 2 * int(radius + 0.5) + 1
        if width > 1:
            grown = ndimage.maximum_filter1d(grown, width, axis=axis, mode="constant", cval=0)
    return grown.astype(bool)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())
