"""Closed planar polygons: which points lie inside, how far their border is, and polygons around a level."""

from itertools import pairwise

import contourpy
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Polygon = NDArray[np.float64]
"""Corners (n, 2), the last joined to the first."""

_SAMPLES_PER_STEP = 4.0


def inside(polygons: list[Polygon], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (row, column) lie in an odd number of polygons: a polygon in another one is its hole.

    Args:
        polygons: corners (x, y).
        rows: evenly spaced y.
        columns: evenly spaced x.
    """
    toggles = np.zeros((len(rows), len(columns) + 1), dtype=np.int32)
    step = columns[1] - columns[0] if len(columns) > 1 else 1.0
    for polygon in polygons:
        following = np.roll(polygon, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(polygon, following, strict=True):
            low, high = min(y0, y1), max(y0, y1)
            first, last = np.searchsorted(rows, low, side="left"), np.searchsorted(rows, high, side="left")
            if first == last:
                continue
            crossing = x0 + (rows[first:last] - y0) / (y1 - y0) * (x1 - x0)
            column = np.clip(np.ceil((crossing - columns[0]) / step), 0, len(columns)).astype(int)
            toggles[np.arange(first, last), column] += 1
    found: NDArray[np.bool_] = np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1
    return found


def signed_distance(
    polygons: list[Polygon], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of points (row, column) from the nearest border; positive inside, as of `inside`."""
    step = min(rows[1] - rows[0], columns[1] - columns[0])
    starts, ends, samples, owner = _sampled_edges(polygons, step / _SAMPLES_PER_STEP)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    _, nearest = cKDTree(samples).query(points)
    edge = owner[nearest]
    along = ends[edge] - starts[edge]
    squared = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip(((points - starts[edge]) * along).sum(axis=1) / squared, 0.0, 1.0)
    distance = np.linalg.norm(points - starts[edge] - share[:, None] * along, axis=1).reshape(y.shape)
    signed: NDArray[np.float64] = np.where(inside(polygons, rows, columns), distance, -distance)
    return signed


def borders(level: NDArray[np.float32]) -> list[Polygon]:
    """Polygons (column, row) around where a level is above 0, in voxels; a hole is joined to the border around it.

    The join is one cut to the nearest corner and back, the keyhole that PS3.3 C.8.8.6 describes.
    """
    lowest = min(float(level.min()), -1e-3)
    padded = np.pad(level, 1, constant_values=lowest)
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    found = []
    for corners, starts in zip(*generator.filled(0.0, float("inf")), strict=True):
        # The last corner of each ring repeats the first.
        rings = [corners[low : high - 1] - 1.0 for low, high in pairwise(starts)]
        merged = rings[0]
        for hole in rings[1:]:
            merged = _keyhole(merged, hole)
        if len(merged) > 2:
            found.append(np.asarray(merged, dtype=np.float64))
    return found


def _keyhole(around: Polygon, hole: Polygon) -> Polygon:
    distances, nearest = cKDTree(around).query(hole)
    start = int(np.argmin(distances))
    corner = int(nearest[start])
    turned = np.roll(hole, -start, axis=0)
    return np.concatenate([around[: corner + 1], turned, turned[:1], around[corner:]])


def _sampled_edges(
    polygons: list[Polygon], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Start and end of every edge, points along all of them, and the edge of each point."""
    starts = np.concatenate(polygons)
    ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    counts = np.maximum(1, np.ceil(np.linalg.norm(ends - starts, axis=1) / spacing)).astype(int)
    owner = np.repeat(np.arange(len(starts)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (place + 0.5) / counts[owner]
    return starts, ends, starts[owner] + share[:, None] * (ends - starts)[owner], owner
