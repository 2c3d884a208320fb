"""Size of lesions from masks, and what RECIST 1.1 makes of it; knows no files and no registrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, Int
from numpy import ndarray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.geometry.volume_change import volume_change_at

Response = Literal["complete response", "partial response", "stable disease", "progressive disease", "not evaluable"]

SMALLER_SHARE, LARGER_SHARE, LARGER_MM = 0.30, 0.20, 5.0
"""RECIST 1.1 (Eisenhauer et al., European Journal of Cancer, 2009), 4.3.1: a decrease by 30 %; an increase by 20 % that
is at least 5 mm."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lesion:
    """One finding of one scan.

    Attributes:
        number: label value, or place in a list of points, from 1.
        centre_mm: middle of its voxels, or the point, world LPS+.
        volume_ml: of its voxels; None for a point.
        longest_mm: longest diameter in an axial slice; None for a point.
        perpendicular_mm: longest diameter at a right angle to it in the same slice; None for a point.
    """

    number: int
    centre_mm: Float64[Tensor, "3"]
    volume_ml: float | None = None
    longest_mm: float | None = None
    perpendicular_mm: float | None = None

    @property
    def radius_mm(self) -> float:
        """Half of the longest diameter; 0 for a point."""
        return 0.5 * (self.longest_mm or 0.0)


def separated(labels: LabelMap) -> LabelMap:
    """A label map with a value for each lesion: of a mask of one value, every connected part becomes one."""
    values = labels.data.unique().tolist()
    if len([value for value in values if value != 0]) != 1:
        return labels
    parts, _ = ndimage.label(labels.data.numpy() != 0, structure=np.ones((3, 3, 3)))
    return LabelMap(data=torch.from_numpy(parts.astype(np.int64)), grid=labels.grid, stored_dtype="int32")


def measure_lesions(labels: LabelMap) -> tuple[Lesion, ...]:
    """Position and size of every label value, in rising order."""
    data, grid = labels.data.numpy(), labels.grid
    boxes = ndimage.find_objects(np.where(data > 0, data, 0).astype(np.int32))
    voxel_ml = abs(float(torch.linalg.det(grid.affine[:3, :3]))) / 1000.0
    found = []
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        inside = np.argwhere(data[box] == number) + [part.start for part in box]
        longest, perpendicular = axial_diameters_mm(inside, grid)
        found.append(
            Lesion(
                number=number,
                centre_mm=grid.to_world(torch.from_numpy(inside.astype(np.float64))).mean(dim=0),
                volume_ml=len(inside) * voxel_ml,
                longest_mm=longest,
                perpendicular_mm=perpendicular,
            )
        )
    return tuple(found)


def volume_changes(labels: LabelMap, transform: Transform) -> dict[int, float]:
    """How much a map changes the volume of each label value: mean of the Jacobian determinant over it, less 1.

    Args:
        labels: a value for each lesion, in the fixed space.
        transform: fixed world to moving world.
    """
    inside = torch.nonzero(labels.data)
    values = labels.data[tuple(inside.T)]
    change = volume_change_at(transform, labels.grid.to_world(inside.double())) - 1.0
    return {value: float(change[values == value].mean()) for value in values.unique().tolist()}


def axial_diameters_mm(voxels: Int[ndarray, "n 3"], grid: Grid) -> tuple[float, float]:
    """Longest diameter in any axial slice, and the longest at a right angle to it in that slice.

    From voxel centre to voxel centre, and half a voxel more at both ends.

    Args:
        voxels: indices (d, h, w) of a lesion.
        grid: their lattice; slices are those across the axis nearest to the body's.
    """
    across = int(grid.direction[2].abs().argmax())
    rim_mm = float(np.mean([step for axis, step in enumerate(grid.spacing_mm) if axis != across]))
    best = (0.0, 0.0)
    for position in np.unique(voxels[:, across]):
        part = voxels[voxels[:, across] == position]
        points_mm = grid.to_world(torch.from_numpy(part.astype(np.float64))).numpy()
        found = _diameters(_outermost(points_mm, np.delete(part, across, axis=1)))
        best = max(best, found)
    return best[0] + rim_mm, best[1] + rim_mm


def response(
    sums_mm: Sequence[float | None], *, has_new: bool, all_gone: bool
) -> tuple[Response, float | None, float | None]:
    """Category of the last of several visits by the sum of longest diameters, with its changes.

    Args:
        sums_mm: of the baseline's lesions at each visit, the baseline first; None where one was not in view.
        has_new: whether there is a lesion that the baseline, which showed the place, had not.
        all_gone: whether none is left.

    Returns:
        Category; change from the baseline and from the smallest sum so far, as fractions; None where unknown.
    """
    first, last = sums_mm[0], sums_mm[-1]
    known = [each for each in sums_mm[:-1] if each is not None]
    if first is None or last is None or not first:
        return ("progressive disease" if has_new else "not evaluable"), None, None
    smallest = min(known)
    change, from_smallest = last / first - 1.0, (last / smallest - 1.0 if smallest else None)
    grown = last - smallest >= LARGER_MM and last >= (1.0 + LARGER_SHARE) * smallest
    category: Response = "stable disease"
    if has_new or grown:
        category = "progressive disease"
    elif all_gone:
        category = "complete response"
    elif last <= (1.0 - SMALLER_SHARE) * first:
        category = "partial response"
    return category, change, from_smallest


def size_change(before_mm: float, after_mm: float) -> Literal["stable", "larger", "smaller"]:
    """What the same bounds say of one lesion."""
    if after_mm <= (1.0 - SMALLER_SHARE) * before_mm:
        return "smaller"
    grown = after_mm - before_mm >= LARGER_MM and after_mm >= (1.0 + LARGER_SHARE) * before_mm
    return "larger" if grown else "stable"


def _outermost(points_mm: Float64[ndarray, "n 3"], plane: Int[ndarray, "n 2"]) -> Float64[ndarray, "m 3"]:
    """Corners of the convex hull; all points where they lie on one line."""
    try:
        corners: Float64[ndarray, "m 3"] = points_mm[ConvexHull(plane).vertices]
    except (QhullError, ValueError):
        return points_mm
    return corners


def _diameters(points_mm: Float64[ndarray, "n 3"]) -> tuple[float, float]:
    apart = points_mm[:, None] - points_mm[None]
    lengths = np.linalg.norm(apart, axis=-1)
    first, second = np.unravel_index(lengths.argmax(), lengths.shape)
    longest = float(lengths[first, second])
    if longest == 0.0:
        return 0.0, 0.0
    along = apart[first, second] / longest
    beside = apart - (apart @ along)[..., None] * along
    return longest, float(np.linalg.norm(beside, axis=-1).max())
