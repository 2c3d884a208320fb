"""Finds points of one scan in another, in files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from samereg.app.machine import prepare_machine
from samereg.app.overwriting import claimed_outputs, refuse_input
from samereg.app.scans import read_scan, series_of_pair
from samereg.app.session import Session
from samereg.app.settings import MatchSettings, PointFormatOrAuto
from samereg.errors import InputError, UsageError
from samereg.geometry.grid import Grid
from samereg.io.images import read_labels
from samereg.io.point_files import POINT_FORMATS, recognise_points
from samereg.io.point_formats.points import PointSet
from samereg.io.points import write_table_csv
from samereg.io.text import distinct
from samereg.ops.ambient import own_torch
from samereg.pipeline.query import Answers

BEST_COLUMNS = ("moving_x", "moving_y", "moving_z", "similarity", "cycle_mm", "margin", "expected_mm", "outside")

OTHER_COLUMNS = ("moving_x", "moving_y", "moving_z", "similarity")
"""Columns of each further candidate, with its number appended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointQuery:
    """The points to find: those of a file, or the voxels of a label.

    Attributes:
        points: file of points in the fixed scan, in any format of `io.point_files`.
        labels: label map in the world of the fixed scan.
        label: value of the voxels to find.
    """

    points: Path | None = None
    labels: Path | None = None
    label: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPoints:
    """Points and their matches.

    Attributes:
        columns: other columns of the point file, by name.
        answers: in the order of the file.
    """

    columns: Mapping[str, tuple[str, ...]]
    answers: Answers


@own_torch()
def match_files(
    fixed_path: Path,
    moving_path: Path,
    query: PointQuery,
    *,
    settings: MatchSettings,
    output: Path | None = None,
    overwrite: bool = False,
) -> FoundPoints:
    """Finds points of the fixed scan in the moving scan, and writes them as CSV if `output` is given.

    Args:
        fixed_path: scan of the points.
        moving_path: scan to search.
        query: the points.
        settings: all other settings.
        output: CSV output, if any.
        overwrite: replace an existing output.

    Raises:
        UsageError: `output` exists, or the query is not exactly one of points and label.
        InputError: an invalid file, or a point outside the fixed scan.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
    """
    outputs = () if output is None else (output,)
    for path in outputs:
        refuse_input(path, (fixed_path, moving_path, query.points, query.labels))
    with claimed_outputs(*outputs, overwrite=overwrite):
        prepare_machine(settings.machine, seed=settings.seed)
        series = series_of_pair(fixed_path, moving_path, settings.series or ())
        fixed = read_scan(fixed_path, series=series[0])
        points = read_query(query, fixed.grid, points_format=settings.points_format)
        moving = read_scan(moving_path, series=series[1])
        session = Session(device=settings.machine.device, embedding=settings.embedding)
        answers = session.match(session.prepare(fixed), session.prepare(moving), points.points_mm, settings)
        found = FoundPoints(columns=points.columns, answers=answers)
        if output is not None:
            write_table_csv(*table(found, candidates=settings.candidates), output)
    return found


def read_query(query: PointQuery, grid: Grid, *, points_format: PointFormatOrAuto = "auto") -> PointSet:
    """Reads the points of a query.

    Raises:
        UsageError: not exactly one of a point file and a label.
        InputError: an invalid file, a label that is not in the map, or a point outside the fixed scan.
    """
    if (query.points is None) == (query.labels is None) or (query.labels is None) != (query.label is None):
        raise UsageError("Need either --points FILE, or --labels FILE and --label VALUE.")
    if query.points is not None:
        named = recognise_points(query.points) if points_format == "auto" else points_format
        points = POINT_FORMATS[named].read(query.points, grid)
        refuse_outside(points.points_mm, grid, name=str(query.points))
        return points
    return _voxels_of_label(query, grid)


def _voxels_of_label(query: PointQuery, grid: Grid) -> PointSet:
    labels = read_labels(Path(str(query.labels)), grid=grid)
    index = torch.nonzero(labels.data.eq(query.label if query.label is not None else 0))
    if not len(index):
        held = ", ".join(str(value) for value in labels.data.unique().tolist() if value)
        raise InputError(f"{query.labels}: has no voxel of label {query.label}; it has {held or 'no labels'}.")
    points_mm = labels.grid.to_world(index.double())
    refuse_outside(points_mm, grid, name=str(query.labels))
    return PointSet(points_mm=points_mm)


def refuse_outside(points_mm: Float64[Tensor, "n 3"], grid: Grid, *, name: str) -> None:
    """Checks that points lie inside a grid.

    Raises:
        InputError: some lie outside; the message names the first.
    """
    outside = (~grid.contains(points_mm)).nonzero().flatten().tolist()
    if outside:
        x, y, z = points_mm[outside[0]].tolist()
        raise InputError(
            f"{name}: {len(outside)} of {len(points_mm)} points lie outside the fixed scan, the first, number "
            f"{outside[0] + 1}, at ({x:g}, {y:g}, {z:g}); need world coordinates in LPS mm."
        )


def table(found: FoundPoints, *, candidates: int = 1) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows of the result: the columns of the point file, then the match of each point.

    Args:
        found: points and answers.
        candidates: number of candidates per point.
    """
    answers = found.answers
    count = min(candidates, answers.candidates_mm.shape[1])
    header = ("x", "y", "z", *_own_names(found), *BEST_COLUMNS, *_other_names(count))
    extra = list(zip(*found.columns.values(), strict=True)) or [()] * len(answers.fixed_mm)
    rows = []
    for index, fixed_mm in enumerate(answers.fixed_mm.tolist()):
        places = [_place(answers, index, number) for number in range(count)]
        rows.append(
            [
                *(f"{value:.3f}" for value in fixed_mm),
                *extra[index],
                *places[0],
                f"{float(answers.cycle_mm[index]):.2f}",
                f"{float(answers.margin[index]):.4f}",
                f"{float(answers.expected_mm[index]):.1f}",
                "yes" if answers.outside[index] else "no",
                *(cell for place in places[1:] for cell in place),
            ]
        )
    return header, rows


def records(found: FoundPoints, *, candidates: int = 1) -> list[dict[str, float | str]]:
    """The rows of `table` as mappings, with numbers; columns of the point file remain text.

    Numbers may be infinite, such as the margin of a single candidate.
    """
    header, rows = table(found, candidates=candidates)
    texts = {*_own_names(found), "outside"}
    return [
        {name: cell if name in texts else float(cell) for name, cell in zip(header, row, strict=True)} for row in rows
    ]


def _own_names(found: FoundPoints) -> tuple[str, ...]:
    """Columns of the point file, renamed where they conflict with columns of the result."""
    taken = ("x", "y", "z", *BEST_COLUMNS, *_other_names(found.answers.candidates_mm.shape[1]))
    free = tuple(f"input_{name}" if name in taken else name for name in found.columns)
    return distinct(free, taken)


def _other_names(count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(2, count + 1) for name in OTHER_COLUMNS)


def _place(answers: Answers, index: int, number: int) -> list[str]:
    position = [f"{value:.3f}" for value in answers.candidates_mm[index, number].tolist()]
    return [*position, f"{float(answers.similarity[index, number]):.4f}"]
