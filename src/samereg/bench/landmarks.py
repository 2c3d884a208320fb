"""Corresponding landmarks of two scans, from any point file."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from samereg.bench.dataset import Scan
from samereg.errors import InputError
from samereg.io.images import read_grid
from samereg.io.point_files import POINT_FORMATS, recognise_points

Point = tuple[float, float, float]
Landmarks = dict[str, Point]
"""World positions (x, y, z), LPS+ mm, by name."""

NAME_COLUMNS = ("name", "label")


def read_landmarks(fixed: tuple[Path, Scan], moving: tuple[Path, Scan]) -> tuple[Landmarks, Landmarks]:
    """Reads the landmarks of a pair, which correspond by name, or by order if they have none.

    Args:
        fixed: file of landmarks, and their scan.
        moving: the same.

    Raises:
        FileError: a file that is missing or has an unknown format.
        InputError: duplicate names, no common name, or without names different numbers of landmarks.
    """
    one, other = _read(*fixed), _read(*moving)
    if one.names and other.names:
        named = one.by_name(), other.by_name()
        if named[0] and named[1] and not set(named[0]) & set(named[1]):
            raise InputError(
                f"{other.path}: has no landmark name in common with {one.path}; need the same names in both."
            )
        return named
    if len(one.points_mm) != len(other.points_mm):
        raise InputError(
            f"{other.path}: holds {len(other.points_mm)} landmarks, {one.path} {len(one.points_mm)}; need as many, in "
            "the same order, or a column of names in both."
        )
    return one.by_order(), other.by_order()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """Contents of a file; without names if any point has none."""

    path: Path
    points_mm: tuple[Point, ...]
    names: tuple[str, ...]

    def by_order(self) -> Landmarks:
        return {str(number): point for number, point in enumerate(self.points_mm)}

    def by_name(self) -> Landmarks:
        name, times = Counter(self.names).most_common(1)[0]
        if times > 1:
            raise InputError(f"{self.path}: has {times} landmarks named '{name}'; need each name once.")
        return dict(zip(self.names, self.points_mm, strict=True))


def _read(path: Path, scan: Scan) -> _Listed:
    entry = POINT_FORMATS[recognise_points(path)]
    found = entry.read(path, read_grid(scan.image) if "image" in entry.needs else None)
    names = next((found.columns[name] for name in NAME_COLUMNS if all(found.columns.get(name, ("",)))), ())
    return _Listed(path=path, points_mm=tuple((x, y, z) for x, y, z in found.points_mm.tolist()), names=names)
