"""Finds points of one scan in another, everything given by path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float64
from torch import Tensor

from samereg.app.machine import MachineSettings, prepare_machine
from samereg.app.overwriting import refuse_existing
from samereg.app.scans import naming_bodiless, read_scan, series_of_pair
from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.io.atomic import atomic_file
from samereg.io.points import read_points_csv, write_table_csv
from samereg.matching.embed import load_embedder
from samereg.matching.matches import Matches
from samereg.matching.search import match
from samereg.pipeline.pair import PreparedScan, prepare_scan

FOUND_COLUMNS = ("moving_x", "moving_y", "moving_z", "similarity", "cycle_mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchSettings:
    """Everything that matching by path depends on besides scans and points; see `RegisterSettings`."""

    embedding: str = "compact"
    series: tuple[str, ...] = ()
    machine: MachineSettings = field(default_factory=MachineSettings)
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPoints:
    """Points and where they were found.

    Attributes:
        columns: names of the columns of the point file besides x, y and z, with their texts.
        matches: positions in both scans, similarity and cycle error, in the order of the file.
    """

    columns: Mapping[str, tuple[str, ...]]
    matches: Matches


def match_files(
    fixed_path: Path,
    moving_path: Path,
    points_path: Path,
    *,
    settings: MatchSettings,
    output: Path | None = None,
    overwrite: bool = False,
) -> FoundPoints:
    """Where points of the fixed scan lie in the moving scan; written as CSV too if there is an `output`.

    Args:
        fixed_path: scan in which the points are given.
        moving_path: scan in which they are looked for.
        points_path: CSV file with the header x,y,z (and further columns), world LPS+ mm.
        settings: everything else.
        output: CSV file to write, if any.
        overwrite: replace it if it exists.

    Raises:
        UsageError: `output` exists.
        InputError: a file that cannot be used, or a point outside the fixed scan.
    """
    if output is not None:
        refuse_existing(output, overwrite=overwrite)
    device = prepare_machine(settings.machine, seed=settings.seed)
    points_mm, columns = read_points_csv(points_path)
    series = series_of_pair(fixed_path, moving_path, settings.series)
    fixed = read_scan(fixed_path, series=series[0])
    refuse_outside(points_mm, fixed.grid, name=str(points_path))
    moving = read_scan(moving_path, series=series[1])
    embedder = load_embedder(settings.embedding, device=str(device))
    with naming_bodiless((fixed_path, fixed), (moving_path, moving)):
        scans = prepare_scan(fixed, embedder), prepare_scan(moving, embedder)
    matches = match_points(*scans, points_mm)
    found = FoundPoints(columns=columns, matches=matches)
    if output is not None:
        header, rows = table(found)
        with atomic_file(output) as path:
            write_table_csv(header, rows, path)
    return found


def match_points(fixed: PreparedScan, moving: PreparedScan, points_mm: Float64[Tensor, "n 3"]) -> Matches:
    """Where points of the fixed scan lie in the moving body, and where their matches are found back."""
    return match(
        fixed.embedded,
        moving.embedded,
        points_mm,
        fixed_places=fixed.places,
        moving_places=moving.places,
    )


def refuse_outside(points_mm: Float64[Tensor, "n 3"], grid: Grid, *, name: str) -> None:
    """Refuse points that lie outside a grid.

    Raises:
        InputError: some do; the message names the first.
    """
    outside = (~grid.contains(points_mm)).nonzero().flatten().tolist()
    if outside:
        x, y, z = points_mm[outside[0]].tolist()
        raise InputError(
            f"{name}: {len(outside)} of {len(points_mm)} points lie outside the fixed scan, the first at "
            f"({x:g}, {y:g}, {z:g}) in line {outside[0] + 2}; need world coordinates in LPS mm."
        )


def table(found: FoundPoints) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows of the result: the columns of the point file, then where each point was found."""
    matches = found.matches
    header = ("x", "y", "z", *found.columns, *FOUND_COLUMNS)
    extra = list(zip(*found.columns.values(), strict=True)) or [()] * len(matches.fixed_mm)
    rows = []
    for index, (fixed_mm, moving_mm) in enumerate(
        zip(matches.fixed_mm.tolist(), matches.moving_mm.tolist(), strict=True)
    ):
        scores = [f"{float(matches.similarity[index]):.4f}", f"{float(matches.cycle_mm[index]):.2f}"]
        rows.append(
            [
                *(f"{value:.3f}" for value in fixed_mm),
                *extra[index],
                *(f"{value:.3f}" for value in moving_mm),
                *scores,
            ]
        )
    return header, rows
