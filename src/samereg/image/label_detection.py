"""Detection of label maps by their voxel values, because data types and file names are unreliable."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FEW_VALUES = 4
"""Integer images with at most this many distinct values are label maps."""

LOWEST_LABEL = -500.0
"""Minimum plausible label; integers below this are Hounsfield units."""

PIECE = 0.4
"""Minimum fraction of equal foreground neighbours of a label value, as in a cube of two voxels."""

PIECES = 0.5
"""Minimum fraction of such values, and of equal neighbours overall; noise and gradients give a few per cent."""

LEAP = 0.3
"""Minimum mean fraction of unequal neighbours with non-adjacent ranks: dose changes in steps, labels jump."""

CLEAR = 0.15
"""Fractions this close to their thresholds are uncertain."""

SAMPLED_VOXELS = 4_000_000
"""Approximate number of sampled voxels, in pairs of slices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelDetection:
    """Result of the detection.

    Attributes:
        is_labels: whether the image is a label map.
        is_certain: whether no criterion contradicts it.
    """

    is_labels: bool
    is_certain: bool


def detect_labels(data: Float[Tensor, "d h w"]) -> LabelDetection:
    """Whether an image is a label map: whole numbers, piecewise constant, without gradual change.

    Independent of data type, number of values and sign. Intensities have noise or gradients, so that
    neighbours differ; if they are quantised, unequal neighbours have adjacent values, which labels do not.

    Args:
        data: an image in any unit.
    """
    if not bool((data == data.round()).all()):
        return LabelDetection(is_labels=False, is_certain=True)
    sample = _sampled(data)
    values = sample.unique()
    lowest = float(data.min())
    if len(values) <= FEW_VALUES and lowest > LOWEST_LABEL:
        return LabelDetection(is_labels=True, is_certain=True)
    found = _Neighbours.of(torch.searchsorted(values, sample), len(values))
    shares = (found.pieces - PIECES, found.alike - PIECES, found.leaps - LEAP)
    is_labels = min(shares) >= 0.0
    # One clear contradiction excludes a label map; one unclear criterion makes the result uncertain.
    is_clear = min(shares) > CLEAR if is_labels else min(shares[:2]) < -CLEAR
    return LabelDetection(is_labels=is_labels, is_certain=is_clear and not (is_labels and lowest <= LOWEST_LABEL))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Neighbours:
    """Neighbour statistics of a sample.

    Attributes:
        pieces: fraction of values whose neighbours are mostly equal.
        alike: fraction of equal pairs in the foreground.
        leaps: fraction of unequal pairs with non-adjacent ranks; mean over the values.
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
        # A label of isolated voxels has no foreground neighbours, which does not exclude a label map.
        return _Neighbours(
            pieces=float(pieces.double().mean()) if len(pieces) else 1.0,
            alike=float(alike.sum() / all_.sum()) if len(pieces) else 1.0,
            leaps=float((leaping / unlike.clamp(min=1)).mean()),
        )


def _pairs(rank: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Both members of each pair of neighbours of (n, slices, h, w)."""
    return [
        (rank[:, 1:].flatten(), rank[:, :-1].flatten()),
        (rank[:, :, 1:].flatten(), rank[:, :, :-1].flatten()),
        (rank[..., 1:].flatten(), rank[..., :-1].flatten()),
    ]


def _sampled(data: Float[Tensor, "d h w"]) -> Float[Tensor, "n s h w"]:
    """Pairs of adjacent non-constant slices, spread over the image; the only slice of a single-slice image."""
    if len(data) == 1:
        return data[None]
    varied = data.amax((1, 2)) != data.amin((1, 2))
    rows = varied.nonzero().flatten() if bool(varied.any()) else torch.arange(len(data))
    wanted = max(1, SAMPLED_VOXELS // (2 * data[0].numel()))
    chosen = rows[torch.linspace(0, len(rows) - 1, min(wanted, len(rows))).round().long()].clamp(max=len(data) - 2)
    return torch.stack([data[chosen], data[chosen + 1]], dim=1)
