"""Which lesion of a later scan is which of an earlier one, once both lie in one space; knows no registrations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from samereg.metrics.lesions import Lesion

LEAST_REACH_MM = 8.0
"""A lesion is looked for this far around where it is expected, however sure the place is: breathing moves it."""

ERRORS_REACH = 1.5
"""And for so many expected errors."""

MOSTLY = 0.5
"""Share of a lesion's voxels within another one from which it is a part of that."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Expected:
    """An earlier lesion, carried to the later scan.

    Attributes:
        lesion: as it was measured.
        place_mm: where its centre is expected, world of the later scan.
        error_mm: expected error of that.
    """

    lesion: Lesion
    place_mm: Float64[Tensor, "3"]
    error_mm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionMatches:
    """Pairs of lesions, by their numbers.

    Attributes:
        same: earlier number to later number.
        merged: earlier number to the later lesion that took it in besides another one.
        split: later number to the earlier lesion that it is a further part of.
        doubtful: earlier number to why its match could be another one.
    """

    same: dict[int, int]
    merged: dict[int, int]
    split: dict[int, int]
    doubtful: dict[int, str]


def match_lesions(
    expected: Sequence[Expected], later: Sequence[Lesion], overlap_vox: Int[Tensor, "rows columns"] | None = None
) -> LesionMatches:
    """Match earlier to later lesions by overlap and distance.

    The assignment (Kuhn, "The Hungarian method for the assignment problem", 1955) of least cost: the distance of
    centres over the reach, less the overlap as a share of the smaller lesion. Beyond the reach and without overlap two
    lesions are not the same; leaving a lesion without a partner costs as much as the reach.

    Args:
        expected: earlier lesions, carried over.
        later: lesions of the later scan.
        overlap_vox: voxels that each carried and each later lesion have in common, with the sizes of the carried ones
            in a last column and those of the later ones in a last row; None for points.
    """
    if not expected or not later:
        return LesionMatches(same={}, merged={}, split={}, doubtful={})
    distance, reach = _distances(expected, later)
    share = np.zeros_like(distance) if overlap_vox is None else _share_of_smaller(overlap_vox)
    possible = (distance <= reach) | (share > 0)
    cost = np.where(possible, distance / reach - share, np.inf)
    rows, columns = _assigned(cost)
    same = {expected[i].lesion.number: later[j].number for i, j in zip(rows, columns, strict=True)}
    return LesionMatches(
        same=same,
        merged=_parts(expected, later, same, overlap_vox, of_earlier=True),
        split=_parts(expected, later, same, overlap_vox, of_earlier=False),
        doubtful=_doubtful(expected, later, distance, share, list(zip(rows, columns, strict=True))),
    )


def _distances(
    expected: Sequence[Expected], later: Sequence[Lesion]
) -> tuple[Float64[np.ndarray, "n m"], Float64[np.ndarray, "n m"]]:
    """Distance of every two centres, and how far apart they may be."""
    places = torch.stack([each.place_mm for each in expected])
    centres = torch.stack([each.centre_mm for each in later])
    around = np.array(
        [[max(LEAST_REACH_MM, ERRORS_REACH * each.error_mm) + each.lesion.radius_mm] for each in expected]
    )
    return torch.cdist(places, centres).numpy(), around + np.array([[each.radius_mm for each in later]])


def _share_of_smaller(overlap_vox: Int[Tensor, "rows columns"]) -> Float64[np.ndarray, "n m"]:
    """Common voxels over those of the smaller lesion; the last row and column hold the sizes."""
    common = overlap_vox[:-1, :-1].double()
    smaller = torch.minimum(overlap_vox[:-1, -1:], overlap_vox[-1:, :-1]).double()
    return (common / smaller.clamp(min=1.0)).numpy()


def _assigned(cost: Float64[np.ndarray, "n m"]) -> tuple[list[int], list[int]]:
    """Rows and columns of the assignment; a row or column may stay alone at the cost of 1."""
    n, m = cost.shape
    alone = np.full((n + m, n + m), 0.5)
    alone[:n, :m] = np.where(np.isfinite(cost), cost, 1e6)
    alone[n:, m:] = 0.0
    rows, columns = linear_sum_assignment(alone)
    kept = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i < n and j < m and np.isfinite(cost[i, j])]
    return [i for i, _ in kept], [j for _, j in kept]


def _parts(
    expected: Sequence[Expected],
    later: Sequence[Lesion],
    same: dict[int, int],
    overlap_vox: Int[Tensor, "rows columns"] | None,
    *,
    of_earlier: bool,
) -> dict[int, int]:
    """Lesions without a partner that lie mostly within one that has a partner on the other side."""
    if overlap_vox is None:
        return {}
    table = overlap_vox if of_earlier else overlap_vox.T
    own = [each.lesion.number for each in expected] if of_earlier else [each.number for each in later]
    others = [each.number for each in later] if of_earlier else [each.lesion.number for each in expected]
    paired, taken = (set(same), set(same.values())) if of_earlier else (set(same.values()), set(same))
    found = {}
    for row, number in enumerate(own):
        best = int(table[row, :-1].argmax())
        inside = int(table[row, best]) >= MOSTLY * max(1, int(table[row, -1]))
        if number not in paired and inside and others[best] in taken:
            found[number] = others[best]
    return found


def _doubtful(
    expected: Sequence[Expected],
    later: Sequence[Lesion],
    distance: Float64[np.ndarray, "n m"],
    share: Float64[np.ndarray, "n m"],
    pairs: Sequence[tuple[int, int]],
) -> dict[int, str]:
    """Matches that an error as large as expected could have made otherwise."""
    found = {}
    for i, j in pairs:
        nearer = [
            k
            for k in range(len(later))
            if k != j and share[i, j] < MOSTLY and distance[i, k] - distance[i, j] < expected[i].error_mm
        ]
        if nearer:
            found[expected[i].lesion.number] = f"could be lesion {later[nearer[0]].number} as well"
    return found
