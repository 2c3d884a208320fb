"""What the page says about one place: where the registration and the embedding put it, and how surely."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.app.session import Registered
from samereg.geometry.affine import Affine
from samereg.ops.ambient import plain_torch
from samereg.pipeline.confidence import Confidence
from samereg.pipeline.orientation import Turns, between, worlds
from samereg.pipeline.pair import Pair
from samereg.pipeline.query import Answers, Query

Side = Literal["fixed", "moving"]

MATCHES = 3
"""Places of the other scan that are listed."""

UNSURE_MM = 12.0
"""An expected error from which the words say so."""

Place = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPlace:
    """A place of the other scan that looks like the one asked about.

    Attributes:
        place_mm: world position, LPS+.
        similarity: mean of local and global cosine, -1 to 1.
    """

    place_mm: Place
    similarity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceAnswer:
    """Everything about one place.

    Attributes:
        side: scan of the place.
        place_mm: the place, LPS+.
        matches: places of the other scan that look most like it, the best first.
        cycle_mm: how far from the place its best match is found back.
        registered_mm: where the registration puts it; None before there is one.
        expected_mm: expected error of that, or of the best match before there is a registration.
        in_view: whether the other scan shows the place; None before there is a registration.
        words: all of that in a sentence or two.
    """

    side: Side
    place_mm: Place
    matches: tuple[FoundPlace, ...]
    cycle_mm: float
    registered_mm: Place | None
    expected_mm: float
    in_view: bool | None
    words: str


@plain_torch()
def answer_at(pair: Pair, found: Registered | None, side: Side, place_mm: Place) -> PlaceAnswer:
    """What is known about a place of one of two scans.

    Args:
        pair: both scans; after a registration turned as that found them to lie (`upright_pair`).
        found: the registration, if there is one.
        side: scan of the place.
        place_mm: world position in it as stored, LPS+.
    """
    turns = found.result.turns if found else Turns()
    # Worlds as stored, which the page shows, to those in which the pair lies.
    ways = worlds(Pair(fixed=found.fixed, moving=found.moving, embedder=pair.embedder), turns) if found else None
    to_own, to_other = ways or (Affine.identity(), Affine.identity())
    if side == "moving":
        pair, (to_own, to_other) = (
            Pair(fixed=pair.moving, moving=pair.fixed, embedder=pair.embedder),
            (to_other, to_own),
        )
    point_mm = to_own.apply(torch.tensor([place_mm], dtype=torch.float64))
    stored = None if found is None else (found.transform if side == "fixed" else found.inverse)
    transform = Affine.identity() if stored is None else between(to_own.inverse(), stored, to_other)
    asked = Query(candidates=MATCHES).within(pair, point_mm, transform, transform)
    registered, expected_mm = None, float(asked.expected_mm[0])
    if stored is not None:
        registered = _place(to_other.inverse().apply(transform.apply(point_mm))[0])
        expected_mm = float(Confidence().at(pair, transform, point_mm)[0])
    in_view = None if stored is None else not bool(asked.outside[0])
    return PlaceAnswer(
        side=side,
        place_mm=place_mm,
        matches=_matches(asked, to_other),
        cycle_mm=round(float(asked.cycle_mm[0]), 2),
        registered_mm=registered,
        expected_mm=round(expected_mm, 2),
        in_view=in_view,
        words=_words(side, expected_mm, float(asked.cycle_mm[0]), in_view),
    )


def _matches(asked: Answers, to_other: Affine) -> tuple[FoundPlace, ...]:
    places = to_other.inverse().apply(asked.candidates_mm[0])
    return tuple(
        FoundPlace(place_mm=_place(place), similarity=round(float(similarity), 4))
        for place, similarity in zip(places, asked.similarity[0], strict=True)
    )


def _words(side: Side, expected_mm: float, cycle_mm: float, in_view: bool | None) -> str:
    other = "moving" if side == "fixed" else "fixed"
    if in_view is False:
        return f"Not in view: the {other} scan ends before this place."
    back = f"The best match is found back {cycle_mm:.0f} mm from here."
    if in_view is None:
        return f"By looks alone, expected to be right to {expected_mm:.0f} mm (not registered yet). {back}"
    sure = "" if expected_mm < UNSURE_MM else " Look closely."
    return f"The registration is expected to be right to {expected_mm:.0f} mm here.{sure} {back}"


def _place(point_mm: Float64[Tensor, "3"]) -> Place:
    x, y, z = (round(value, 3) for value in point_mm.tolist())
    return x, y, z
