"""Search for points of one scan in another: exhaustive coarse search, then local refinement.

SAME, sections 2.1 and 2.2: similarity is the mean of local and global cosine, the moving scan is searched at
every fourth voxel; then the local embedding decides at every second one, and between those.
"""

from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from samereg.matching.embed import EmbeddedVolume
from samereg.matching.matches import Matches
from samereg.matching.points import grid_points
from samereg.nets.embedding import rows_of, shape_of
from samereg.validation import Count, CountOrZero, PositiveMm, check_ranges

TABLE_ELEMENTS = 8_000_000
"""Cells of the similarity table computed at a time, few enough to stay in the cache."""

TABLE_QUERIES = 2048
"""Maximum number of queries per table; its size determines the number of candidates."""

BLOCK_PLACES = 32
"""Candidates per block maximum: a maximum is computed much faster than its index."""

CELL_MM = 96.0
"""Edge in mm of the cubes by which queries are grouped in a search of limited reach."""

FLATTEST = 1e-4
"""Minimum curvature of the cosine, per cell squared, above noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Settings of the search.

    Attributes:
        stride_vox: spacing of the candidates in the coarse search (the paper's 4).
        reach_mm: maximum distance between a point and its match, for scans that are already aligned.
        from_origin: also refine from the point's own position, and take the more similar result: for scans that are
            already aligned, whose matches may lie between the candidates.
        fine_steps: maximum number of local cells between a match and the best candidate; the last step finds its
            subcell position.
        fine_rows: points refined at a time; limits memory.
    """

    stride_vox: Count = 4
    reach_mm: PositiveMm = inf
    from_origin: bool = False
    fine_steps: CountOrZero = 2
    fine_rows: Count = 1024

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Candidates:
    """Candidate positions of the coarse search.

    Attributes:
        points_mm: world positions (LPS+).
        embeddings: their joint embeddings, unit length.
    """

    points_mm: Float64[Tensor, "m 3"]
    embeddings: Float[Tensor, "m e"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Result of a search: positions (LPS+ mm) and their similarity (mean cosine)."""

    points_mm: Float64[Tensor, "n 3"]
    similarity: Float[Tensor, " n"]


def candidates(embedded: EmbeddedVolume, points_mm: Float64[Tensor, "m 3"]) -> Candidates:
    """Candidate positions of the coarse search in a scan.

    Args:
        embedded: the scan.
        points_mm: world positions (LPS+), as from `matching.points.grid_points` with `Search.stride_vox`.
    """
    with torch.inference_mode():
        return Candidates(points_mm=points_mm, embeddings=embedded.at(points_mm))


def search(
    queries: Float[Tensor, "n e"],
    origins_mm: Float64[Tensor, "n 3"],
    places: Candidates,
    embedded: EmbeddedVolume,
    *,
    settings: Search | None = None,
) -> Found:
    """Best match of each query embedding: coarse over all candidates, then refined around the best.

    Args:
        queries: joint embeddings, as from `EmbeddedVolume.at`.
        origins_mm: positions of the queries; used only if the reach is limited.
        places: candidates in the searched scan.
        embedded: the searched scan.
        settings: spacing and refinement.
    """
    settings = settings or Search()
    with torch.inference_mode():
        best, _ = _nearest(queries, origins_mm, places, settings.reach_mm)
        start_mm = places.points_mm[best.cpu()]
        found = climb(queries, start_mm, embedded, settings)
        if settings.from_origin:
            near = climb(queries, origins_mm, embedded, settings)
            better = near.similarity > found.similarity
            found = Found(
                points_mm=torch.where(better[:, None], near.points_mm, found.points_mm),
                similarity=torch.where(better, near.similarity, found.similarity),
            )
    return found


def match(
    fixed: EmbeddedVolume,
    moving: EmbeddedVolume,
    points_mm: Float64[Tensor, "n 3"],
    *,
    fixed_places: Candidates | None = None,
    moving_places: Candidates | None = None,
    settings: Search | None = None,
) -> Matches:
    """Matches of points of the fixed scan in the moving scan, with their cycle errors.

    Args:
        fixed: scan of the points.
        moving: scan to search.
        points_mm: points of the fixed scan, world frame (LPS+).
        fixed_places: candidates in the fixed scan for the cycle; all positions if not given.
        moving_places: candidates in the moving scan; all positions if not given.
        settings: spacing and refinement.

    Returns:
        One match per point, all marked as used; see `matching/filters.py` for filters.
    """
    stride = (settings or Search()).stride_vox
    moving_places = moving_places or candidates(moving, grid_points(moving.grid, stride_vox=stride))
    fixed_places = fixed_places or candidates(fixed, grid_points(fixed.grid, stride_vox=stride))
    there = search(fixed.at(points_mm), points_mm, moving_places, moving, settings=settings)
    back = search(moving.at(there.points_mm), there.points_mm, fixed_places, fixed, settings=settings)
    return Matches(
        fixed_mm=points_mm,
        moving_mm=there.points_mm,
        similarity=there.similarity,
        cycle_mm=(back.points_mm - points_mm).norm(dim=1).float(),
        used=torch.ones(len(points_mm), dtype=torch.bool),
    )


def _nearest(
    queries: Float[Tensor, "n e"], origins_mm: Float64[Tensor, "n 3"], places: Candidates, reach_mm: float
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Index of the maximum inner product of each query, in chunks of bounded memory."""
    if reach_mm < inf:
        return _nearest_within(queries, origins_mm, places, reach_mm)
    found = [_nearest_of_all(chunk, places.embeddings) for chunk in queries.split(TABLE_QUERIES)]
    return torch.cat([indices for indices, _ in found]), torch.cat([values for _, values in found])


def _nearest_of_all(
    queries: Float[Tensor, "n e"], embeddings: Float[Tensor, "m e"]
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Row of the maximum inner product: first its block of rows, then its index in the block."""
    rows = max(1, TABLE_ELEMENTS // max(1, len(queries)) // BLOCK_PLACES) * BLOCK_PLACES
    maxima = torch.cat([_block_maxima(chunk @ queries.T) for chunk in embeddings.split(rows)])
    members = torch.arange(BLOCK_PLACES, device=queries.device)
    block = (maxima.argmax(0)[:, None] * BLOCK_PLACES + members).clamp(max=len(embeddings) - 1)
    best = torch.bmm(embeddings[block], queries[:, :, None])[:, :, 0].max(1)
    return block.gather(1, best.indices[:, None])[:, 0], best.values.float()


def _block_maxima(table: Float[Tensor, "m n"]) -> Float[Tensor, "b n"]:
    whole = len(table) // BLOCK_PLACES * BLOCK_PLACES
    maxima = table[:whole].unflatten(0, (-1, BLOCK_PLACES)).amax(1)
    return torch.cat([maxima, table[whole:].amax(0, keepdim=True)]) if whole < len(table) else maxima


def _nearest_within(
    queries: Float[Tensor, "n e"], origins_mm: Float64[Tensor, "n 3"], places: Candidates, reach_mm: float
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """As `_nearest_of_all`, among the candidates in reach of each query, or near its cube if there are none.

    Queries are grouped in cubes, so that most candidates are never compared.
    """
    points = places.points_mm.to(queries.device, torch.float32)
    origins = origins_mm.to(points)
    cell = torch.unique((origins / CELL_MM).floor(), dim=0, return_inverse=True)[1]
    order = cell.argsort(stable=True)
    indices, values = [], []
    for rows in order.split(cell.bincount().tolist()):
        low, high = origins[rows].amin(0) - reach_mm, origins[rows].amax(0) + reach_mm
        near = ((points >= low) & (points <= high)).all(1).nonzero()[:, 0]
        near = near if len(near) else torch.arange(len(points), device=points.device)
        far = torch.cdist(origins[rows], points[near]) > reach_mm
        best = (queries[rows] @ places.embeddings[near].T).masked_fill_(far, -1.0).max(1)
        indices.append(near[best.indices])
        values.append(best.values.float())
    back = order.argsort()
    return torch.cat(indices)[back], torch.cat(values)[back]


def climb(
    queries: Float[Tensor, "n e"], start_mm: Float64[Tensor, "n 3"], embedded: EmbeddedVolume, settings: Search
) -> Found:
    """Refined positions from given starts and their similarity, a bounded number of points at a time."""
    local = queries[:, : queries.shape[1] // 2] * 2**0.5
    parts = [
        _refine(q, p, embedded, settings)
        for q, p in zip(local.split(settings.fine_rows), start_mm.split(settings.fine_rows), strict=True)
    ]
    refined_mm = torch.cat(parts) if parts else start_mm
    similarity = (queries.float() * embedded.at(refined_mm).float()).sum(1)
    return Found(points_mm=refined_mm, similarity=similarity.cpu())


def _refine(
    queries: Float[Tensor, "n e"], start_mm: Float64[Tensor, "n 3"], embedded: EmbeddedVolume, settings: Search
) -> Float64[Tensor, "n 3"]:
    """Subcell position of the most similar local cell near a start.

    Hill climbing by one cell per step: two steps over 27 cells reach as far as one over 125 at half the cost.
    """
    stride = embedded.strides[0]
    cell = (embedded.grid.to_index(start_mm).to(queries.device) / stride).round().long()
    for _ in range(settings.fine_steps):
        cells, cosine = _around(queries, cell, embedded)
        best, between = _peak(cosine)
        cell = cells[torch.arange(len(cells), device=cells.device), best]
    return embedded.grid.to_world(((cell + between) * stride).double().cpu())


def _around(
    queries: Float[Tensor, "n e"], cell: Int64[Tensor, "n 3"], embedded: EmbeddedVolume
) -> tuple[Int64[Tensor, "n 27 3"], Float[Tensor, "n 3 3 3"]]:
    """The local cells around each cell, and their cosine with each query; the border is replicated."""
    shape = shape_of(embedded.local)
    size = torch.tensor(shape, device=queries.device)
    steps = torch.arange(-1, 2, device=queries.device)
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).view(-1, 3)
    cells = torch.minimum((cell[:, None] + offsets).clamp(min=0), size - 1)
    flat = (cells[..., 0] * shape[1] + cells[..., 1]) * shape[2] + cells[..., 2]
    rows = rows_of(embedded.local).index_select(0, flat.flatten())
    near = embedded.heads.project_local(rows).view(*flat.shape, -1)
    cosine = torch.einsum("nke,ne->nk", near, queries).float()
    return cells, cosine.view(-1, 3, 3, 3)


def _peak(cosine: Float[Tensor, "n k k k"]) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Flat index of each maximum, and the subcell offset of a parabola fitted along each axis."""
    width = cosine.shape[1]
    best = cosine.flatten(1).argmax(1)
    row = torch.arange(len(best), device=best.device)
    index = torch.stack([best // width**2, best // width % width, best % width], 1)
    between = torch.zeros(len(best), 3, device=best.device)
    for axis in range(3):
        step = torch.zeros_like(index)
        step[:, axis] = 1
        low, high = (index - step).clamp(min=0), (index + step).clamp(max=width - 1)
        before, here, after = (cosine[row, *at.T] for at in (low, index, high))
        curve = before - 2 * here + after
        inside = (index[:, axis] > 0) & (index[:, axis] < width - 1) & (curve < 0)
        between[:, axis] = torch.where(inside, (before - after) / (2 * curve.clamp(max=-FLATTEST)), 0.0)
    return best, between.clamp(-0.5, 0.5)
