"""Landmarks: pairs of points that a user marked as the same anatomy, and what follows from them for matches."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform

MAX_STRETCH = 2.5
"""No anatomy is stretched or squeezed more between two landmarks."""

SLACK_MM = 15.0
"""Two clicks may be off by this much together; shorter distances between landmarks say nothing about directions."""

AGREEING_MM = 15.0
AGREEING_SLOPE = 0.6
"""A match agrees with a landmark if its displacement differs by less than this, and by so much more for each mm between
them: well above what anatomy bends, well below a wrong vertebra next to the landmark."""

FLATTEST_MM = 10.0
"""Landmarks whose second largest extent (standard deviation) is smaller lie on one line: their rotation is unknown."""

NAMED = 3
"""Landmarks named in a message before it says how many there are more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Landmarks:
    """Named pairs of points, world frame (LPS+), mm.

    Attributes:
        names: for messages and records, one for each pair.
        fixed_mm: points of the fixed scan.
        moving_mm: the same anatomy in the moving scan.
    """

    names: tuple[str, ...]
    fixed_mm: Float64[Tensor, "n 3"]
    moving_mm: Float64[Tensor, "n 3"]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.names)

    @property
    def give_a_rotation(self) -> bool:
        """Whether they determine a rigid map: three or more that do not lie on one line, in either scan."""
        return len(self) >= 3 and min(_second_extent_mm(points) for points in (self.fixed_mm, self.moving_mm)) > (
            FLATTEST_MM
        )

    def in_worlds(self, to_fixed: Affine, to_moving: Affine) -> "Landmarks":
        """The same pairs after a change of both worlds.

        Args:
            to_fixed: world of the fixed points to the new one.
            to_moving: the same for the moving points.
        """
        return Landmarks(
            names=self.names, fixed_mm=to_fixed.apply(self.fixed_mm), moving_mm=to_moving.apply(self.moving_mm)
        )

    def residual_mm(self, transform: Transform) -> Float64[Tensor, " n"]:
        """Distance of each moving point from where a transform takes its fixed point."""
        distance: Tensor = (transform.apply(self.fixed_mm) - self.moving_mm).norm(dim=1)
        return distance


def no_landmarks() -> Landmarks:
    """An empty set of landmarks."""
    none = torch.empty(0, 3, dtype=torch.float64)
    return Landmarks(names=(), fixed_mm=none, moving_mm=none)


def agreeing(
    landmarks: Landmarks, fixed_mm: Float64[Tensor, "n 3"], moving_mm: Float64[Tensor, "n 3"], around: Affine
) -> Bool[Tensor, " n"]:
    """Which matches agree with every landmark: the nearer to one, the more nearly they have to move as it does.

    Args:
        landmarks: trusted pairs; without any, everything agrees.
        fixed_mm: points of the fixed scan.
        moving_mm: their matches.
        around: fixed world to moving world, roughly; its rotation and scale are not counted as a difference.
    """
    kept = torch.ones(len(fixed_mm), dtype=torch.bool)
    offsets_mm = moving_mm - around.apply(fixed_mm)
    own_mm = landmarks.moving_mm - around.apply(landmarks.fixed_mm)
    for place, own in zip(landmarks.fixed_mm, own_mm, strict=True):
        allowed_mm = AGREEING_MM + AGREEING_SLOPE * (fixed_mm - place).norm(dim=1)
        kept &= (offsets_mm - own).norm(dim=1) <= allowed_mm
    return kept


def contradictions(landmarks: Landmarks, start: Transform | None = None) -> tuple[str, ...]:
    """A sentence for each group of landmarks that no anatomy fits; empty where all fit together.

    Two landmarks contradict each other where the distance between them is stretched or squeezed too much, or where
    their order is reversed: a map through both would fold.

    Args:
        landmarks: in worlds in which both scans lie the same way round.
        start: fixed world to moving world, if something else than the worlds says how the scans lie.
    """
    found = {
        pair: why for pair in combinations(range(len(landmarks)), 2) if (why := _contradiction(landmarks, pair, start))
    }
    return tuple(_sentences(landmarks.names, found))


def listed(names: tuple[str, ...]) -> str:
    """Names in quotes, the first few of many."""
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def _contradiction(landmarks: Landmarks, pair: tuple[int, int], start: Transform | None) -> str:
    first, second = pair
    fixed = landmarks.fixed_mm[first] - landmarks.fixed_mm[second]
    moving = landmarks.moving_mm[first] - landmarks.moving_mm[second]
    lengths_mm = float(fixed.norm()), float(moving.norm())
    if max(lengths_mm) > MAX_STRETCH * min(lengths_mm) + SLACK_MM:
        return f"are {lengths_mm[0]:.0f} mm apart in the fixed scan and {lengths_mm[1]:.0f} mm in the moving scan"
    directions = [fixed]
    if start is not None:
        started = start.apply(landmarks.fixed_mm[[first, second]])
        directions.append(started[0] - started[1])
    reversed_ = all(float(each @ moving) < 0.0 for each in directions)
    return "lie in reversed order in the two scans" if reversed_ and min(lengths_mm) > SLACK_MM else ""


def _sentences(names: tuple[str, ...], found: Mapping[tuple[int, int], str]) -> list[str]:
    """One sentence for each landmark, the one with most contradictions first, until all are told."""
    left, sentences = dict(found), []
    while left:
        worst, count = Counter(index for pair in left for index in pair).most_common(1)[0]
        mine = [pair for pair in left if worst in pair]
        others = tuple(names[second if first == worst else first] for first, second in mine)
        why = left[mine[0]]
        more = "" if count == 1 else " (the first of them)"
        sentences.append(f"'{names[worst]}' contradicts {listed(others)}: they{more} {why}")
        left = {pair: reason for pair, reason in left.items() if worst not in pair}
    return sentences


def _second_extent_mm(points_mm: Float64[Tensor, "n 3"]) -> float:
    centred = points_mm - points_mm.mean(dim=0)
    values = torch.linalg.svdvals(centred).tolist()
    return float(values[1]) / sqrt(len(points_mm))
