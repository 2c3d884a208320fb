"""Modes of the similarity: several candidate matches of a point, and the margin between them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.matching.embed import EmbeddedVolume
from samereg.matching.search import Candidates, Search, climb

QUERIES_AT_ONCE = 512
"""Rows of the similarity table computed at a time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Modes:
    """Local maxima of the similarity to a query, the best first.

    Attributes:
        points_mm: world positions (LPS+).
        similarity: mean of local and global cosine, -1 to 1, descending along k.
    """

    points_mm: Float64[Tensor, "n k 3"]
    similarity: Float[Tensor, "n k"]

    @property
    def margin(self) -> Float[Tensor, " n"]:
        """Difference in similarity of the best and second candidate; small for repetitive anatomy."""
        if self.similarity.shape[1] < 2:
            return torch.full_like(self.similarity[:, 0], torch.inf)
        return self.similarity[:, 0] - self.similarity[:, 1]


def find_modes(
    queries: Float[Tensor, "n e"],
    places: Candidates,
    embedded: EmbeddedVolume,
    *,
    count: int,
    apart_mm: float,
    settings: Search | None = None,
) -> Modes:
    """The most similar positions, with a minimum distance between them.

    Args:
        queries: joint embeddings, as from `EmbeddedVolume.at`.
        places: candidates in the searched scan.
        embedded: the searched scan.
        count: maximum number of positions per query; fewer for all if one query has fewer that far apart.
        apart_mm: minimum distance between two positions.
        settings: of the refinement.
    """
    settings = settings or Search()
    with torch.inference_mode():
        found = [_peaks(chunk, places, count, apart_mm) for chunk in queries.split(QUERIES_AT_ONCE)]
        # Some points may have fewer positions than requested; all get the minimum number.
        width = min(peaks.shape[1] for peaks in found)
        start_mm = torch.cat([peaks[:, :width] for peaks in found])
        repeated = queries.repeat_interleave(start_mm.shape[1], dim=0)
        refined = climb(repeated, start_mm.flatten(0, 1), embedded, settings)
    similarity = refined.similarity.view(start_mm.shape[:2])
    order = similarity.argsort(dim=1, descending=True, stable=True)
    points_mm = refined.points_mm.view(start_mm.shape)
    return Modes(
        points_mm=points_mm.gather(1, order[..., None].expand_as(points_mm)), similarity=similarity.gather(1, order)
    )


def _peaks(queries: Float[Tensor, "n e"], places: Candidates, count: int, apart_mm: float) -> Float64[Tensor, "n k 3"]:
    """The best candidates, with non-maximum suppression."""
    table = (queries @ places.embeddings.T).float()
    points = places.points_mm.to(table.device, torch.float32)
    chosen = []
    for _ in range(count):
        best = table.argmax(dim=1)
        chosen.append(places.points_mm[best.cpu()])
        table.masked_fill_(torch.cdist(points[best], points) < apart_mm, -torch.inf)
        if bool(torch.isinf(table.amax(dim=1)).any()):
            break
    return torch.stack(chosen, dim=1)
