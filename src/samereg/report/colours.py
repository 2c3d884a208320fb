"""Colour mapping: scans in gray, overlays of maps, outlines of labels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

WINDOW_HU = (-1000.0, 600.0)
"""Default display window: lung, soft tissue and bone."""

WINDOWS_HU = (
    ("all", WINDOW_HU),
    ("lung", (-1000.0, -200.0)),
    ("soft tissue", (-160.0, 240.0)),
    ("bone", (-200.0, 600.0)),
)
"""Selectable display windows, within the default one."""

HEAT = ((10, 14, 40), (66, 30, 120), (160, 44, 112), (230, 94, 66), (252, 176, 60), (252, 250, 190))
"""Sequential colours."""

BALANCE = ((33, 84, 168), (104, 166, 216), (240, 240, 240), (232, 140, 96), (172, 36, 46))
"""Diverging colours."""

ERROR = ((60, 150, 90), (240, 190, 90), (172, 36, 46))
"""Sequential colours of errors, from small to large."""

FOLDED = (255, 0, 220)
"""Colour of folding, not used by any map."""

OUTLINES = (
    (94, 201, 255),
    (255, 188, 66),
    (126, 224, 129),
    (255, 128, 171),
    (178, 156, 255),
    (255, 241, 118),
    (77, 208, 190),
    (255, 138, 101),
)
"""Colours of labels, used cyclically."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A colour scale.

    Attributes:
        anchors: equidistant colours, interpolated linearly.
        low: value of the first colour.
        high: value of the last colour.
    """

    anchors: tuple[tuple[int, int, int], ...]
    low: float
    high: float

    def colour(self, values: Float[ndarray, "*s"]) -> Float[ndarray, "*s 3"]:
        """Red, green and blue, 0 to 255; values out of range are clamped."""
        anchors = np.array(self.anchors, dtype=np.float64)
        place = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0) * (len(anchors) - 1)
        positions = np.arange(len(anchors))
        return np.stack([np.interp(place, positions, anchors[:, channel]) for channel in range(3)], axis=-1)

    def gradient(self) -> str:
        """The scale as a CSS background, low to high."""
        return "linear-gradient(to right, " + ", ".join(f"rgb{anchor}" for anchor in self.anchors) + ")"


def gray(hu: Float[ndarray, "*s"]) -> UInt8[ndarray, "*s"]:
    """HU as gray values, black at the lower end of the window."""
    low, high = WINDOW_HU
    return np.round(np.clip((hu - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


def rgb(shades: UInt8[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """Gray as colour."""
    return np.repeat(shades[..., None], 3, axis=-1)


def overlaid(
    shades: UInt8[ndarray, "h w"],
    colours: Float[ndarray, "h w 3"],
    mask: Bool[ndarray, "h w"],
    *,
    strength: float = 0.65,
) -> UInt8[ndarray, "h w 3"]:
    """Blends colours over a gray image inside a mask; strength 0 is only gray, 1 only colour."""
    under = rgb(shades).astype(np.float64)
    over = np.where(mask[..., None], strength * colours + (1.0 - strength) * under, under)
    return np.round(over).astype(np.uint8)


def with_outlines(picture: UInt8[ndarray, "h w 3"], labels: Int[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """The image with label outlines in the labels' colours."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        change = np.diff(labels, axis=axis) != 0
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= change
        edge[tuple(after)] |= change
    edge &= labels != 0
    drawn = picture.copy()
    palette = np.array(OUTLINES, dtype=np.uint8)
    drawn[edge] = palette[(labels[edge] - 1) % len(palette)]
    return drawn


def checkerboard(
    first: UInt8[ndarray, "h w"], second: UInt8[ndarray, "h w"], *, square_px: int
) -> UInt8[ndarray, "h w"]:
    """Checkerboard of two images."""
    rows, columns = np.indices(first.shape) // square_px
    return np.where((rows + columns) % 2 == 0, first, second)
