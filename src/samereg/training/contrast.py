"""Coarse-to-fine contrastive loss of SAM (Yan et al. 2020, section 3) of a batch of view pairs."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from samereg.nets.embedding import EmbeddingNet, Features, channels_last, rows_of, shape_of
from samereg.objectives.contrastive import cosine_rows, cosine_table, info_nce, recall_at_one
from samereg.ops.sample import gather_linear, identity_grid
from samereg.training.batches import PairBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Settings of negatives and temperature; distances in voxels of the view.

    Attributes:
        temperature: of both softmaxes.
        global_radius_vox: minimum distance of negatives of the global head.
        local_radius_vox: minimum distance of negatives of the local head.
        rough_radius_vox: the same for anchors from registration, which are less accurate.
        ring_vox: range of distances of the negatives around each match.
        rings: number of such negatives per match.
        strangers: number of negatives from each other scan of the batch.
    """

    temperature: float = 0.07
    global_radius_vox: float = 10.0
    local_radius_vox: float = 2.5
    rough_radius_vox: float = 7.0
    ring_vox: tuple[float, float] = (3.0, 14.0)
    rings: int = 6
    strangers: int = 512


class ContrastLoss(NamedTuple):
    """Loss terms and recalls, for the log; a tuple, as Fabric's hooks require."""

    total: Float[Tensor, ""]
    global_: Float[Tensor, ""]
    local: Float[Tensor, ""]
    global_recall: Float[Tensor, ""]
    local_recall: Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """Embeddings of the anchors, cells and pool of one view."""

    anchors_vox: Tensor
    anchor_global: Tensor
    anchor_local: Tensor
    cells_vox: Tensor
    cells_global: Tensor
    pool_vox: Tensor
    pool_global: Tensor
    pool_local: Tensor


class ContrastiveModel(nn.Module):
    """The network and its loss in one forward call, for distributed wrappers."""

    def __init__(self, net: EmbeddingNet, contrast: Contrast, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.contrast, self.dtype = net, contrast, dtype

    def forward(self, batch: PairBatch, ring_noise: Float[Tensor, "v n r 3"]) -> ContrastLoss:
        """Loss of a batch.

        Each anchor is a query from its view; its match in the other view is the positive; negatives are all
        global cells (global head), and random, ring and other-scan points (local head, on the mean of both
        cosines with the global one detached, so that the local head learns the remainder).

        Args:
            batch: view pairs.
            ring_noise: standard normal samples for the positions of the ring negatives.
        """
        features = self.net(channels_last(batch.images, self.dtype))
        sides = [self._embed(features, batch, view, ring_noise[view]) for view in range(len(batch.images))]
        pairs = len(sides) // 2
        terms = []
        for view, side in enumerate(sides):
            other = sides[(view + pairs) % len(sides)]
            strangers = [s for i, s in enumerate(sides) if i % pairs != view % pairs]
            terms.append(self._terms(side, other, strangers, precise=batch.precise))
        global_, local, global_recall, local_recall = torch.stack(terms).mean(0)
        return ContrastLoss(
            total=global_ + local,
            global_=global_.detach(),
            local=local.detach(),
            global_recall=global_recall.detach(),
            local_recall=local_recall.detach(),
        )

    def _embed(self, features: Features, batch: PairBatch, view: int, ring_noise: Tensor) -> _Side:
        local, global_ = features.local[view], features.global_[view]
        local_stride, global_stride = self.net.strides
        anchors = batch.anchors[view]
        near, far = self.contrast.ring_vox
        # A normal sample gives the direction, and by its length mapped to (0, 1) the distance.
        direction = torch.nn.functional.normalize(ring_noise, dim=-1)
        distance = near + (far - near) * torch.erf(ring_noise.norm(dim=-1, keepdim=True) / 2).square()
        limit = torch.tensor(batch.images.shape[2:], device=anchors.device) - 1.0
        ring = (anchors[:, None] + direction * distance).flatten(0, 1).clamp(min=0).minimum(limit)
        pool = torch.cat([batch.pools[view], ring])
        points = torch.cat([anchors, pool])
        local_rows = gather_linear(rows_of(local), shape_of(local), points / local_stride)
        global_rows = gather_linear(rows_of(global_), shape_of(global_), anchors / global_stride)
        with torch.no_grad():
            pool_global = gather_linear(rows_of(global_), shape_of(global_), pool / global_stride)
            pool_global = self.net.project_global(pool_global)
        local_embedding = self.net.project_local(local_rows)
        return _Side(
            anchors_vox=anchors,
            anchor_global=self.net.project_global(global_rows),
            anchor_local=local_embedding[: len(anchors)],
            cells_vox=identity_grid(shape_of(global_), device=anchors.device).flatten(0, 2) * global_stride,
            cells_global=self.net.project_global(rows_of(global_)),
            pool_vox=pool,
            pool_global=pool_global,
            pool_local=local_embedding[len(anchors) :],
        )

    def _terms(self, side: _Side, other: _Side, strangers: list[_Side], *, precise: bool) -> Tensor:
        settings, count = self.contrast, self.contrast.strangers
        cells = [other.cells_global] + [_thinned(s.cells_global, count) for s in strangers]
        allowed = _allowed(other.anchors_vox, other.cells_vox, settings.global_radius_vox, cells)
        match_global = cosine_rows(side.anchor_global, other.anchor_global)
        table_global = cosine_table(side.anchor_global, torch.cat(cells))
        global_ = info_nce(match_global, table_global, allowed=allowed, temperature=settings.temperature)

        radius = settings.local_radius_vox if precise else settings.rough_radius_vox
        pools = [other.pool_local] + [_thinned(s.pool_local, count) for s in strangers]
        pools_global = [other.pool_global] + [_thinned(s.pool_global, count) for s in strangers]
        near = _allowed(other.anchors_vox, other.pool_vox, radius, pools)
        match = (cosine_rows(side.anchor_local, other.anchor_local) + match_global.detach()) / 2
        table = cosine_table(side.anchor_local, torch.cat(pools))
        table = (table + cosine_table(side.anchor_global.detach(), torch.cat(pools_global))) / 2
        local = info_nce(match, table, allowed=near, temperature=settings.temperature / 2)
        with torch.no_grad():
            recalls = [
                recall_at_one(match_global, table_global, allowed=allowed),
                recall_at_one(match, table, allowed=near),
            ]
        return torch.stack([global_, local, *recalls])


def _thinned(rows: Tensor, count: int) -> Tensor:
    """About `count` rows, evenly spread."""
    return rows[:: max(1, len(rows) // count)]


def _allowed(match_vox: Tensor, negative_vox: Tensor, radius: float, tables: list[Tensor]) -> Bool[Tensor, "n m"]:
    """True outside the radius in the matched view, and for points of other scans."""
    own = torch.cdist(match_vox, negative_vox) > radius
    others = sum(len(table) for table in tables[1:])
    return torch.cat([own, own.new_ones(len(own), others)], 1)
