"""One later visit: where each known lesion is now, by two routes, and which drawn lesion it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.app.follow.findings import Drawn, common_voxels
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.metrics.lesion_matching import Expected, LesionMatches, match_lesions
from samereg.metrics.lesions import Lesion, size_change

Status = Literal[
    "baseline", "located", "stable", "larger", "smaller", "merged", "split", "gone", "new", "not in view",
    "not in view before",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionRow:
    """One lesion at one visit.

    Attributes:
        lesion: its number over all visits.
        visit: 0 for the baseline.
        status: what became of it; `located` where nobody drew lesions.
        place_mm: centre as drawn, or else where registration puts it; None where it is not in view.
        in_view: whether the scan shows the place.
        expected_mm: expected error of the registration there.
        routes_mm: distance between the places that registration and the embedding of the point itself give.
        routes_agree: whether that is no more than both expected errors together.
        volume_ml: as drawn.
        longest_mm: longest axial diameter.
        perpendicular_mm: longest diameter at a right angle to it.
        change: of the longest diameter since it was first measured, as a fraction.
        other: number of the lesion that it merged into, or that it is a part of.
        note: what to look at; empty if nothing.
    """

    lesion: int
    visit: int
    status: Status
    place_mm: tuple[float, float, float] | None
    in_view: bool = True
    expected_mm: float | None = None
    routes_mm: float | None = None
    routes_agree: bool | None = None
    volume_ml: float | None = None
    longest_mm: float | None = None
    perpendicular_mm: float | None = None
    change: float | None = None
    other: int | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Routes:
    """Where known lesions are in a later scan.

    Attributes:
        place_mm: by registration.
        error_mm: expected error of that.
        apart_mm: distance to where the embedding of the point itself has it.
        agree: whether that is no more than both expected errors together.
        in_view: whether the scan shows the place.
    """

    place_mm: Float64[Tensor, "n 3"]
    error_mm: Float[Tensor, " n"]
    apart_mm: Float[Tensor, " n"]
    agree: Bool[Tensor, " n"]
    in_view: Bool[Tensor, " n"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Known:
    """Lesions of the visits so far, in the space of the baseline.

    Attributes:
        lesions: by number, as first measured, with their centres in the baseline.
        labels: a value for each on the baseline's grid of lesions; None where points were given.
    """

    lesions: Mapping[int, Lesion]
    labels: LabelMap | None

    @property
    def centres_mm(self) -> Float64[Tensor, "n 3"]:
        """Centres in the baseline, in the order of the numbers."""
        return torch.stack([each.centre_mm for each in self.lesions.values()])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Visit:
    """A later scan, registered with the baseline.

    Attributes:
        number: from 1.
        drawn: its lesions; None if nobody drew any.
        transform: baseline world to its world.
        inverse: back.
        baseline: grid of the baseline scan.
    """

    number: int
    drawn: Drawn | None
    transform: Transform
    inverse: Transform
    baseline: Grid


def rows_of_visit(visit: Visit, known: Known, routes: Routes) -> tuple[list[LesionRow], Known]:
    """A row for each known and each new lesion, and what is known afterwards.

    Args:
        visit: the later scan.
        known: lesions so far.
        routes: where they are now.
    """
    drawn = visit.drawn
    numbers = list(known.lesions)
    if drawn is None:
        return [_row(visit.number, number, routes, n, "located") for n, number in enumerate(numbers)], known
    matches = _matches(known, routes, drawn, visit.inverse)
    later = {each.number: each for each in drawn.lesions}
    names = {now: number for number, now in matches.same.items()}
    rows = []
    for n, number in enumerate(numbers):
        if number in matches.same:
            measured = later[matches.same[number]]
            before = known.lesions[number]
            row = _row(visit.number, number, routes, n, "stable")
            row = _measured(row, measured, before, matches.doubtful.get(number, ""))
        elif number in matches.merged:
            row = _row(visit.number, number, routes, n, "merged", other=names[matches.merged[number]])
        else:
            row = _row(visit.number, number, routes, n, "gone")
        rows.append(row)
    return _with_new(rows, visit, known, drawn, matches)


def _with_new(
    rows: list[LesionRow], visit: Visit, known: Known, drawn: Drawn, matches: LesionMatches
) -> tuple[list[LesionRow], Known]:
    """The rows with those of lesions that no known one is, which are known from now on."""
    lesions = dict(known.lesions)
    labels = known.labels
    carried = None
    if labels is not None and drawn.labels is not None:
        carried = resample_labels(drawn.labels, visit.transform, labels.grid).data
    taken = set(matches.same.values())
    for lesion in (each for each in drawn.lesions if each.number not in taken):
        number = max(lesions) + 1
        place_mm = visit.inverse.apply(lesion.centre_mm[None])[0]
        status: Status = "split" if lesion.number in matches.split else "new"
        if status == "new" and not bool(visit.baseline.contains(place_mm[None])[0]):
            status = "not in view before"
        row = LesionRow(
            lesion=number,
            visit=visit.number,
            status=status,
            place_mm=rounded(lesion.centre_mm),
            volume_ml=lesion.volume_ml,
            longest_mm=lesion.longest_mm,
            perpendicular_mm=lesion.perpendicular_mm,
            other=matches.split.get(lesion.number),
        )
        rows.append(row)
        lesions[number] = replace(lesion, number=number, centre_mm=place_mm)
        if labels is not None and carried is not None:
            mine = (carried == lesion.number) & (labels.data == 0)
            labels = replace(labels, data=torch.where(mine, number, labels.data))
    return rows, Known(lesions=lesions, labels=labels)


def _matches(known: Known, routes: Routes, drawn: Drawn, inverse: Transform) -> LesionMatches:
    seen = [n for n in range(len(known.lesions)) if bool(routes.in_view[n])]
    lesions = list(known.lesions.values())
    expected = [
        Expected(lesion=lesions[n], place_mm=routes.place_mm[n], error_mm=float(routes.error_mm[n])) for n in seen
    ]
    overlap = None
    if known.labels is not None and drawn.labels is not None and expected and drawn.lesions:
        carried = resample_labels(known.labels, inverse, drawn.labels.grid).data
        own = [each.lesion.number for each in expected]
        overlap = common_voxels(carried, drawn.labels.data, (own, [each.number for each in drawn.lesions]))
    return match_lesions(expected, drawn.lesions, overlap)


def _row(visit: int, number: int, routes: Routes, n: int, status: Status, *, other: int | None = None) -> LesionRow:
    """Row of a known lesion that is not measured here; out of view whatever else was thought."""
    in_view, apart = bool(routes.in_view[n]), float(routes.apart_mm[n])
    agree = bool(routes.agree[n])
    note = "" if agree or not in_view else f"registration and embedding disagree by {apart:.0f} mm"
    return LesionRow(
        lesion=number,
        visit=visit,
        status=status if in_view else "not in view",
        place_mm=rounded(routes.place_mm[n]) if in_view else None,
        in_view=in_view,
        expected_mm=round(float(routes.error_mm[n]), 2) if in_view else None,
        routes_mm=round(apart, 2) if in_view else None,
        routes_agree=agree if in_view else None,
        other=other if in_view else None,
        note=note,
    )


def _measured(row: LesionRow, now: Lesion, before: Lesion, doubt: str) -> LesionRow:
    change = None
    status: Status = "located"
    if now.longest_mm is not None and before.longest_mm is not None:
        status, change = size_change(before.longest_mm, now.longest_mm), now.longest_mm / before.longest_mm - 1.0
    return replace(
        row,
        status=status,
        place_mm=rounded(now.centre_mm),
        volume_ml=now.volume_ml,
        longest_mm=now.longest_mm,
        perpendicular_mm=now.perpendicular_mm,
        change=change,
        note="; ".join(each for each in (row.note, doubt) if each),
    )


def rounded(place_mm: Float64[Tensor, "3"]) -> tuple[float, float, float]:
    """A place to a thousandth of a millimetre."""
    x, y, z = place_mm.tolist()
    return round(x, 3), round(y, 3), round(z, 3)
