"""Numbers as colours: scans in gray, measured maps in colour on top, outlines of labels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

WINDOW_HU = (-1000.0, 600.0)
"""What the page shows from black to white: lung, soft tissue and bone at once."""

WINDOWS_HU = (
    ("all", WINDOW_HU),
    ("lung", (-1000.0, -200.0)),
    ("soft tissue", (-160.0, 240.0)),
    ("bone", (-200.0, 600.0)),
)
"""What the viewers can show instead, all within that."""

HEAT = ((10, 14, 40), (66, 30, 120), (160, 44, 112), (230, 94, 66), (252, 176, 60), (252, 250, 190))
"""From little to much."""

BALANCE = ((33, 84, 168), (104, 166, 216), (240, 240, 240), (232, 140, 96), (172, 36, 46))
"""From less, through neither, to more."""

ERROR = ((60, 150, 90), (240, 190, 90), (172, 36, 46))
"""From small, which is good, to large."""

FOLDED = (255, 0, 220)
"""Where space is inside out: a colour that no map has."""

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
"""Colours of labels, taken in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How a map's numbers become colours.

    Attributes:
        anchors: colours at equal distances, mixed linearly between.
        low: value of the first.
        high: value of the last.
    """

    anchors: tuple[tuple[int, int, int], ...]
    low: float
    high: float

    def colour(self, values: Float[ndarray, "*s"]) -> Float[ndarray, "*s 3"]:
        """Red, green and blue, 0 to 255; values beyond the ends take the colour of the end."""
        anchors = np.array(self.anchors, dtype=np.float64)
        place = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0) * (len(anchors) - 1)
        positions = np.arange(len(anchors))
        return np.stack([np.interp(place, positions, anchors[:, channel]) for channel in range(3)], axis=-1)

    def gradient(self) -> str:
        """The scale as a CSS background, low to high."""
        return "linear-gradient(to right, " + ", ".join(f"rgb{anchor}" for anchor in self.anchors) + ")"


def gray(hu: Float[ndarray, "*s"]) -> UInt8[ndarray, "*s"]:
    """HU as shades of gray, black at the window's lower end."""
    low, high = WINDOW_HU
    return np.round(np.clip((hu - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


def rgb(shades: UInt8[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """Gray as colour."""
    return np.repeat(shades[..., None], 3, axis=-1)


def laid_over(
    shades: UInt8[ndarray, "h w"],
    colours: Float[ndarray, "h w 3"],
    mask: Bool[ndarray, "h w"],
    *,
    strength: float = 0.65,
) -> UInt8[ndarray, "h w 3"]:
    """Colours over a gray picture where a mask says so; strength 0 is gray alone, 1 colour alone."""
    under = rgb(shades).astype(np.float64)
    over = np.where(mask[..., None], strength * colours + (1.0 - strength) * under, under)
    return np.round(over).astype(np.uint8)


def outlined(picture: UInt8[ndarray, "h w 3"], labels: Int[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """The picture with the innermost pixels of every label in the label's colour."""
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


def checkered(first: UInt8[ndarray, "h w"], second: UInt8[ndarray, "h w"], *, square_px: int) -> UInt8[ndarray, "h w"]:
    """Squares of the two pictures in turn."""
    rows, columns = np.indices(first.shape) // square_px
    return np.where((rows + columns) % 2 == 0, first, second)
