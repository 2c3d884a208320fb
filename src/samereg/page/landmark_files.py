"""Landmarks of the page as files: Slicer's markups or CSV, written for download and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from samereg.errors import InputError
from samereg.io.point_files import POINT_FORMATS, recognise_points
from samereg.io.point_formats.points import MovedPoints
from samereg.matching.landmarks import Landmarks
from samereg.page.answers import Place, Side

FORMATS = ("markups", "csv")
"""Formats that the page saves."""

MOST_PAIRS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacePair:
    """Two places that are the same anatomy.

    Attributes:
        name: of the landmark.
        fixed: place in the fixed scan, LPS+ mm.
        moving: place in the moving scan, LPS+ mm.
    """

    name: str
    fixed: Place
    moving: Place


def parsed_pairs(value: object) -> tuple[PlacePair, ...]:
    """Pairs as the browser sends them.

    Raises:
        InputError: anything else than a list of named pairs of places, or a name that two of them have.
    """
    if not isinstance(value, list) or len(value) > MOST_PAIRS:
        raise InputError(f"landmarks: are no list of at most {MOST_PAIRS} pairs.")
    pairs = tuple(_pair(each) for each in value)
    names = [pair.name for pair in pairs]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise InputError(f"Two landmarks are called '{twice}'; need one of each name.")
    return pairs


def landmarks_of(pairs: Sequence[PlacePair]) -> Landmarks:
    """The pairs as a registration takes them."""
    return Landmarks(
        names=tuple(pair.name for pair in pairs),
        fixed_mm=torch.tensor([pair.fixed for pair in pairs], dtype=torch.float64).reshape(-1, 3),
        moving_mm=torch.tensor([pair.moving for pair in pairs], dtype=torch.float64).reshape(-1, 3),
    )


def file_bytes(pairs: Sequence[PlacePair], side: Side, format_name: str) -> bytes:
    """One side of the pairs as a file of points.

    Args:
        pairs: at least one.
        side: whose places.
        format_name: one of `FORMATS`.
    """
    places = [pair.fixed if side == "fixed" else pair.moving for pair in pairs]
    points = MovedPoints(
        points_mm=torch.tensor(places, dtype=torch.float64),
        outside=torch.zeros(len(places), dtype=torch.bool),
        columns={"label": tuple(pair.name for pair in pairs)},
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"landmarks{POINT_FORMATS[format_name].suffixes[0]}"
        POINT_FORMATS[format_name].write(points, path, None, None)
        return path.read_bytes()


def pairs_of_files(fixed: Mapping[str, str], moving: Mapping[str, str]) -> tuple[PlacePair, ...]:
    """Pairs from the texts of two files, by name where both have names, else by order.

    Args:
        fixed: `name` and `text` of the file of the fixed scan.
        moving: the same of the moving scan.

    Raises:
        InputError: files that cannot be read, or that do not belong together.
    """
    first, second = _points(fixed), _points(moving)
    if first.keys() != second.keys():
        if len(first) != len(second):
            raise InputError(f"The files hold {len(first)} and {len(second)} landmarks; need the same in both.")
        second = dict(zip(first, second.values(), strict=True))
    return tuple(PlacePair(name=name, fixed=place, moving=second[name]) for name, place in first.items())


def _points(file: Mapping[str, str]) -> dict[str, Place]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(file["name"]).name
        path.write_text(file["text"], encoding="utf-8")
        points = POINT_FORMATS[recognise_points(path)].read(path, None)
    column = next((name for name in ("label", "name") if name in points.columns), None)
    numbers = tuple(f"place {number}" for number in range(1, len(points.points_mm) + 1))
    names = points.columns[column] if column else numbers
    if len(set(names)) < len(names) or not all(names):
        names = numbers
    return {name: _place(place) for name, place in zip(names, points.points_mm.tolist(), strict=True)}


def _pair(value: Any) -> PlacePair:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"].strip():
        raise InputError("landmarks: one has no name.")
    return PlacePair(name=value["name"].strip(), fixed=_place(value.get("fixed")), moving=_place(value.get("moving")))


def _place(value: Any) -> Place:
    numbers = isinstance(value, list) and all(isinstance(each, int | float) and isfinite(each) for each in value)
    if not numbers or len(value) != 3:
        raise InputError("landmarks: a place is not three numbers in mm.")
    x, y, z = (float(each) for each in value)
    return x, y, z
