"""Reading and writing of matches.csv."""

from math import inf, nan
from pathlib import Path

import torch

from samereg.errors import InputError
from samereg.io.points import read_table_csv, write_table_csv
from samereg.matching.matches import Matches

MATCH_COLUMNS = (
    "fixed_x_mm",
    "fixed_y_mm",
    "fixed_z_mm",
    "moving_x_mm",
    "moving_y_mm",
    "moving_z_mm",
    "similarity",
    "cycle_mm",
    "used",
)


_CYCLE = MATCH_COLUMNS.index("cycle_mm")


def read_matches(path: Path) -> Matches:
    """Reads matches written by `write_matches`.

    Raises:
        FileError: missing, or not text.
        InputError: not a table of matches.
    """
    columns = read_table_csv(path, MATCH_COLUMNS)
    try:
        cells = [columns[name] for name in MATCH_COLUMNS]
        # Only Python accepts 1_000 as a number.
        rows = [[nan if "_" in cell else float(cell) for cell in column] for column in cells]
        numbers = torch.tensor(rows, dtype=torch.float64)
    except ValueError as error:
        raise InputError(f"{path}: holds cells that are not numbers; need matches.csv of a registration.") from error
    # A cycle error is infinite if it was not computed.
    known = torch.isfinite(numbers.float()) | ((numbers == inf) & (torch.arange(len(numbers)) == _CYCLE)[:, None])
    if not bool(known.all()) or not set(numbers[8].tolist()) <= {0.0, 1.0}:
        raise InputError(f"{path}: holds NaN, infinity, or used other than 0 or 1; need the matches.csv as written.")
    return Matches(
        fixed_mm=numbers[:3].T.contiguous(),
        moving_mm=numbers[3:6].T.contiguous(),
        similarity=numbers[6].float(),
        cycle_mm=numbers[7].float(),
        used=numbers[8] > 0,
    )


def write_matches(matches: Matches, path: Path) -> None:
    """Writes one line per match: fixed mm, moving mm, similarity, cycle error, used (1) or not (0)."""
    columns = torch.cat(
        [
            matches.fixed_mm.double().cpu(),
            matches.moving_mm.double().cpu(),
            torch.stack([matches.similarity, matches.cycle_mm], dim=1).double().cpu(),
        ],
        dim=1,
    ).tolist()
    used = matches.used.int().cpu().tolist()
    rows = [
        [*(f"{value:.3f}" for value in line[:6]), f"{line[6]:.4f}", f"{line[7]:.2f}", str(flag)]
        for line, flag in zip(columns, used, strict=True)
    ]
    write_table_csv(MATCH_COLUMNS, rows, path)
