"""Batches of view pairs with corresponding points, deterministic in (seed, step)."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.errors import UsageError
from samereg.training.augment import Appearance, vary_appearance
from samereg.training.scans import TrainingScan
from samereg.training.views import Placement, ViewMap, in_mask, random_map, render_view

CANDIDATES_PER_ANCHOR = 12
MIN_ANCHORS = 16
"""Minimum number of common points of two views; others are rejected."""


MIN_VIEW_VOX = 48
"""Minimum for three cells at stride 16; with two, oneDNN's bfloat16 weight gradient reads uninitialised memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSettings:
    """Shape of a batch.

    Attributes:
        crop_vox: size of a local crop; `pairs` of them form a batch.
        pairs: pairs of local crops.
        whole_vox: size of a nearly complete chest; one pair forms a batch.
        anchors: corresponding points of each pair.
        pool: random negatives of each view, before the body mask.
        placement: geometric augmentation of views.
        appearance: intensity augmentation.
    """

    crop_vox: tuple[int, int, int] = (96, 96, 96)
    pairs: int = 3
    whole_vox: tuple[int, int, int] = (144, 128, 144)
    anchors: int = 192
    pool: int = 6000
    placement: Placement = field(default_factory=Placement)
    appearance: Appearance = field(default_factory=Appearance)

    def __post_init__(self) -> None:
        """Check the size of the views."""
        smallest = min(*self.crop_vox, *self.whole_vox)
        if smallest < MIN_VIEW_VOX:
            raise UsageError(f"a training view needs at least {MIN_VIEW_VOX} voxels per axis, got {smallest}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossPair:
    """Corresponding points of two training scans, in index units of each."""

    first: int
    second: int
    first_vox: Float[Tensor, "n 3"]
    second_vox: Float[Tensor, "n 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBatch:
    """A batch of view pairs.

    Attributes:
        images: first views, then second views.
        anchors: matched positions in each view, view voxels; row `b` of the first half matches row `b` of the
            second.
        pools: positions of random negatives in each view, mostly in the body.
        precise: whether anchors are exact (two views of one scan) or from registration (two scans).
    """

    images: Float[Tensor, "v 1 d h w"]
    anchors: Float[Tensor, "v n 3"]
    pools: tuple[Float[Tensor, "_ 3"], ...]
    precise: bool


def local_batch(scans: list[TrainingScan], settings: BatchSettings, generator: torch.Generator) -> PairBatch:
    """Pairs of overlapping crops, each pair from another scan."""
    chosen = torch.randperm(len(scans), generator=generator)[: settings.pairs].tolist()
    while len(chosen) < settings.pairs:
        chosen.append(int(torch.randint(len(scans), (), generator=generator)))
    pairs = [_self_pair(scans[i], settings.crop_vox, settings, generator) for i in chosen]
    return _collate(pairs, precise=True)


def whole_batch(scans: list[TrainingScan], settings: BatchSettings, generator: torch.Generator) -> PairBatch:
    """One pair of nearly complete views of one scan."""
    scan = scans[int(torch.randint(len(scans), (), generator=generator))]
    return _collate([_self_pair(scan, settings.whole_vox, settings, generator)], precise=True)


def cross_batch(
    scans: list[TrainingScan], crosses: list[CrossPair], settings: BatchSettings, generator: torch.Generator
) -> PairBatch:
    """One pair of nearly complete views of two registered scans."""
    for _ in range(20):
        cross = crosses[int(torch.randint(len(crosses), (), generator=generator))]
        pick = int(torch.randint(len(cross.first_vox), (), generator=generator))
        views = []
        for index, points in ((cross.first, cross.first_vox), (cross.second, cross.second_vox)):
            centre = (points[pick] + 2 * points.mean(0)) / 3
            view = random_map(centre, settings.whole_vox, settings.placement, generator)
            views.append((scans[index], view, view.from_scan(points)))
        found = _shared(views[0], views[1], settings.anchors, generator)
        if found is not None:
            return _collate([_finish(views[0], views[1], found, settings, generator)], precise=False)
    return whole_batch(scans, settings, generator)


_Placed = tuple[TrainingScan, ViewMap, Tensor]
_Pair = tuple[list[Tensor], list[Tensor], list[Tensor]]


def _self_pair(
    scan: TrainingScan, shape: tuple[int, int, int], settings: BatchSettings, generator: torch.Generator
) -> _Pair:
    inside = scan.body.nonzero()
    while True:
        pick = inside[int(torch.randint(len(inside), (), generator=generator))].float()
        whole = shape == settings.whole_vox
        centre = (pick + 2 * inside.float().mean(0)) / 3 if whole else pick
        first = random_map(centre, shape, settings.placement, generator)
        second = random_map(centre, shape, settings.placement, generator)
        count = settings.anchors * CANDIDATES_PER_ANCHOR
        candidates = inside[torch.randint(len(inside), (count,), generator=generator)].float()
        placed = [(scan, view, view.from_scan(candidates)) for view in (first, second)]
        found = _shared(placed[0], placed[1], settings.anchors, generator)
        if found is not None:
            return _finish(placed[0], placed[1], found, settings, generator)


def _shared(first: _Placed, second: _Placed, count: int, generator: torch.Generator) -> Tensor | None:
    """Indices of `count` points in both views (with repetition if fewer)."""
    both = (first[1].contains(first[2]) & second[1].contains(second[2])).nonzero()[:, 0]
    if len(both) < MIN_ANCHORS:
        return None
    order = torch.randperm(len(both), generator=generator)
    repeats = -(-count // len(both))
    return both[order].repeat(repeats)[:count]


def _finish(
    first: _Placed, second: _Placed, found: Tensor, settings: BatchSettings, generator: torch.Generator
) -> _Pair:
    images, anchors, pools = [], [], []
    for scan, view, points in (first, second):
        image = render_view(scan.intensity, view, background=scan.volume.background)
        images.append(vary_appearance(image, settings.appearance, generator))
        anchors.append(points[found])
        size = torch.tensor(view.shape) - 1
        pool = torch.rand(settings.pool, 3, generator=generator) * size
        pools.append(pool[in_mask(scan.body, view.to_scan(pool))])
    return images, anchors, pools


def _collate(pairs: list[_Pair], *, precise: bool) -> PairBatch:
    return PairBatch(
        images=torch.stack([pair[0][side] for side in (0, 1) for pair in pairs]),
        anchors=torch.stack([pair[1][side] for side in (0, 1) for pair in pairs]),
        pools=tuple(pair[2][side] for side in (0, 1) for pair in pairs),
        precise=precise,
    )
