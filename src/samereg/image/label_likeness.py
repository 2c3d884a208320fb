"""Tells label maps from intensities by what the voxels look like; types and file names say too little."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FEW_VALUES = 4
"""Whole numbers as few as this are labels: a mask, a tumour in an organ, organs of one kind."""

LOWEST_LABEL = -500.0
"""Labels go down to -1 or -100; whole numbers below this are Hounsfield units, of a phantom without noise at most."""

PIECE = 0.4
"""A value is one of a label if this share of its neighbours in the foreground is alike: two voxels of a cube of two."""

PIECES = 0.5
"""Share of values that have to be so, and of all neighbours; noise and slopes give a few per cent."""

LEAP = 0.3
"""Mean share of unlike neighbours that are not next to each other in rank: dose rises by steps, labels leap."""

CLEAR = 0.15
"""Shares this near to their thresholds are doubtful."""

SAMPLED_VOXELS = 4_000_000
"""Neighbours are looked at in pairs of slices, as many as make up about this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What an image was taken for.

    Attributes:
        is_labels: whether its numbers are names of structures.
        is_certain: whether nothing speaks against it.
    """

    is_labels: bool
    is_certain: bool


def label_likeness(data: Float[Tensor, "d h w"]) -> Likeness:
    """Whether an image is a label map: whole numbers, piecewise constant, without gradual change.

    Neither the type of the numbers nor their count nor their sign decides. Intensities have noise or slopes, so that
    neighbours differ; where they are quantised, unlike neighbours are next to each other in value, and labels are not.

    Args:
        data: an image, of any unit.
    """
    if not bool((data == data.round()).all()):
        return Likeness(is_labels=False, is_certain=True)
    sample = _sampled(data)
    values = sample.unique()
    lowest = float(data.min())
    if len(values) <= FEW_VALUES and lowest > LOWEST_LABEL:
        return Likeness(is_labels=True, is_certain=True)
    found = _Neighbours.of(torch.searchsorted(values, sample), len(values))
    shares = (found.pieces - PIECES, found.alike - PIECES, found.leaps - LEAP)
    is_labels = min(shares) >= 0.0
    # What one clear share speaks against is no label map; what all but one of them allow is doubtful.
    is_clear = min(shares) > CLEAR if is_labels else min(shares[:2]) < -CLEAR
    return Likeness(is_labels=is_labels, is_certain=is_clear and not (is_labels and lowest <= LOWEST_LABEL))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Neighbours:
    """Shares of neighbours, in a sample.

    Attributes:
        pieces: of values, those that have mostly their like around them.
        alike: of pairs within the foreground, those of one value.
        leaps: of unlike pairs, those not next to each other in rank; mean over the values, however common each is.
    """

    pieces: float
    alike: float
    leaps: float

    @staticmethod
    def of(rank: Tensor, count: int) -> "_Neighbours":
        background = int(rank.flatten().bincount(minlength=count).argmax())
        alike, all_ = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64)
        leaping, unlike = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64)
        for first, second in _pairs(rank):
            apart = (first - second).abs()
            within = (first != background) & (second != background)
            for side in (first, second):
                all_ += side[within].bincount(minlength=count)
                alike += side[within & (apart == 0)].bincount(minlength=count)
                unlike += side[apart > 0].bincount(minlength=count)
                leaping += side[apart > 1].bincount(minlength=count)
        seen = all_ > 0
        pieces = (alike[seen].double() / all_[seen]) >= PIECE
        # A label of single voxels has no neighbours in the foreground, and nothing speaks against it.
        return _Neighbours(
            pieces=float(pieces.double().mean()) if len(pieces) else 1.0,
            alike=float(alike.sum() / all_.sum()) if len(pieces) else 1.0,
            leaps=float((leaping / unlike.clamp(min=1)).mean()),
        )


def _pairs(rank: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Both sides of each pair of neighbours of (n, slices, h, w)."""
    return [
        (rank[:, 1:].flatten(), rank[:, :-1].flatten()),
        (rank[:, :, 1:].flatten(), rank[:, :, :-1].flatten()),
        (rank[..., 1:].flatten(), rank[..., :-1].flatten()),
    ]


def _sampled(data: Float[Tensor, "d h w"]) -> Float[Tensor, "n s h w"]:
    """Pairs of neighbouring slices in which something is seen, spread over the image; the slice of a single one."""
    if len(data) == 1:
        return data[None]
    varied = data.amax((1, 2)) != data.amin((1, 2))
    rows = varied.nonzero().flatten() if bool(varied.any()) else torch.arange(len(data))
    wanted = max(1, SAMPLED_VOXELS // (2 * data[0].numel()))
    chosen = rows[torch.linspace(0, len(rows) - 1, min(wanted, len(rows))).round().long()].clamp(max=len(data) - 2)
    return torch.stack([data[chosen], data[chosen + 1]], dim=1)
