"""Landmarks and masks that guide a registration, by path; refused by name before anything is computed."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.app.settings import RegisterSettings
from samereg.errors import InputError, UsageError
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels
from samereg.io.point_files import POINT_FORMATS, recognise_points
from samereg.io.point_formats.points import PointSet
from samereg.matching.landmarks import Landmarks, listed, no_landmarks
from samereg.pipeline.guidance import Guidance, LandmarkResidual

NAME_COLUMNS = ("label", "name", "landmark")
"""Columns of a point file that may hold names, the first that is there."""

_NUMBERED = re.compile(r".*\d+")
"""A name that a program gave: Slicer calls the points of a list F-1, F-2, and of the next M-1, M-2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidanceRecord:
    """What guided a registration, for `run.json`.

    Attributes:
        landmarks: how each landmark is kept, mm.
        fixed_mask: whether a mask said where the fixed scan counts.
        moving_mask: the same for the moving scan.
    """

    landmarks: tuple[LandmarkResidual, ...]
    fixed_mask: bool
    moving_mask: bool


def read_guidance(settings: RegisterSettings, fixed: Volume, moving: Volume) -> Guidance:
    """What the settings say about a pair; nothing if they say nothing.

    Args:
        settings: with the paths of landmarks and masks.
        fixed: scan that stays.
        moving: the other.

    Raises:
        UsageError: landmarks of one scan alone, or labels to be ignored without a mask.
        InputError: a file that cannot be used, landmarks that do not belong together or lie outside their scan, or
            a label that no mask holds.
    """
    given = (settings.fixed_landmarks, settings.moving_landmarks)
    if (given[0] is None) != (given[1] is None):
        raise UsageError("Got landmarks of one scan; need --fixed-landmarks and --moving-landmarks.")
    landmarks = no_landmarks()
    if given[0] is not None and given[1] is not None:
        landmarks = _read_landmarks((given[0], given[1]), (fixed, moving))
    fixed_mask, moving_mask = _read_masks(settings)
    return Guidance(landmarks=landmarks, fixed_mask=fixed_mask, moving_mask=moving_mask)


def guidance_record(guidance: Guidance, residuals: tuple[LandmarkResidual, ...]) -> GuidanceRecord | None:
    """Record of what guided; None if nothing did."""
    if not len(guidance.landmarks) and guidance.fixed_mask is None and guidance.moving_mask is None:
        return None
    return GuidanceRecord(
        landmarks=residuals,
        fixed_mask=guidance.fixed_mask is not None,
        moving_mask=guidance.moving_mask is not None,
    )


def _read_landmarks(paths: tuple[Path, Path], scans: tuple[Volume, Volume]) -> Landmarks:
    """Pairs of two point files: by name where both have names, else by order."""
    sets = [
        POINT_FORMATS[recognise_points(path)].read(path, scan.grid) for path, scan in zip(paths, scans, strict=True)
    ]
    names = [_names(points, path) for points, path in zip(sets, paths, strict=True)]
    for points, own, path, scan, side in zip(sets, names, paths, scans, ("fixed", "moving"), strict=True):
        _refuse_outside(points, own or _numbers(points), path, scan, side)
    if names[0] is not None and names[1] is not None and not _are_unrelated(names[0], names[1]):
        _refuse_unpaired((names[0], names[1]), paths)
        order = [names[1].index(name) for name in names[0]]
    else:
        _refuse_other_count(sets, paths)
        order = list(range(len(sets[0].points_mm)))
    called = names[0] or names[1] or _numbers(sets[0])
    return Landmarks(names=called, fixed_mm=sets[0].points_mm, moving_mm=sets[1].points_mm[order])


def _names(points: PointSet, path: Path) -> tuple[str, ...] | None:
    """Names of the points of a file; None where it has none, or not for every point.

    Raises:
        InputError: a name that two points have.
    """
    column = next((name for name in NAME_COLUMNS if name in points.columns), None)
    if column is None or not all(points.columns[column]):
        return None
    found = points.columns[column]
    repeated = tuple(name for name, count in Counter(found).items() if count > 1)
    if repeated:
        raise InputError(f"{path}: has more than one landmark called {listed(repeated)}; need one of each name.")
    return found


def _numbers(points: PointSet) -> tuple[str, ...]:
    return tuple(str(number + 1) for number in range(len(points.points_mm)))


def _are_unrelated(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lists share no name because a program numbered each: then order is what pairs them."""
    numbered = all(_NUMBERED.fullmatch(name) for name in (*first, *second))
    return numbered and not set(first) & set(second)


def _refuse_unpaired(names: tuple[tuple[str, ...], tuple[str, ...]], paths: tuple[Path, Path]) -> None:
    for own, other, path, there in ((*names, *paths), (*names[::-1], *paths[::-1])):
        unknown = tuple(name for name in own if name not in other)
        if unknown:
            raise InputError(
                f"{path}: names {listed(unknown)}, which {there} does not; need the same names in both files, or none "
                "to pair points by their order."
            )


def _refuse_other_count(sets: Sequence[PointSet], paths: tuple[Path, Path]) -> None:
    counts = [len(points.points_mm) for points in sets]
    if counts[0] != counts[1]:
        raise InputError(
            f"{paths[0]}: holds {counts[0]} landmarks and {paths[1]} {counts[1]}; need as many in both, or names that "
            "say which belong together."
        )


def _refuse_outside(points: PointSet, names: tuple[str, ...], path: Path, scan: Volume, side: str) -> None:
    outside = (~scan.grid.contains(points.points_mm)).nonzero().flatten().tolist()
    if outside:
        x, y, z = points.points_mm[outside[0]].tolist()
        named = listed(tuple(names[index] for index in outside))
        raise InputError(
            f"{path}: the landmark {named} lies outside the {side} scan, at ({x:g}, {y:g}, {z:g}); need points in LPS "
            "mm within the scan."
        )


def _read_masks(settings: RegisterSettings) -> tuple[Volume | None, Volume | None]:
    ignored = settings.ignore_labels or ()
    paths = (settings.fixed_mask, settings.moving_mask)
    if ignored and paths == (None, None):
        raise UsageError("Got --ignore-labels without a mask; need --fixed-mask or --moving-mask, the label map.")
    maps = tuple(None if path is None else read_labels(path) for path in paths)
    held = {value for each in maps if each is not None for value in each.data.unique().tolist()}
    unknown = [value for value in ignored if value not in held]
    if unknown:
        named = " and ".join(str(path) for path in paths if path is not None)
        known = ", ".join(str(value) for value in sorted(held - {0})) or "no labels"
        raise InputError(f"{named}: has no voxel of the label {unknown[0]} to ignore; it has {known}.")
    first, second = (None if each is None else _mask(each, ignored) for each in maps)
    return first, second


def _mask(labels: LabelMap, ignored: Sequence[int]) -> Volume:
    """1 where a scan counts: on labels, or, if some are to be ignored, everywhere but on those."""
    if ignored:
        counts = ~torch.isin(labels.data, torch.tensor(list(ignored), dtype=labels.data.dtype))
    else:
        counts = labels.data != 0
    background = 1.0 if ignored else 0.0
    return Volume(data=counts[None].float(), grid=labels.grid, background=background, source=labels.source)
