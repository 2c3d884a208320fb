"""Results as JSON lines, one appended as each case ends, so that a stopped run goes on where it was."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows that are there; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def keep_rows(path: Path, wanted: Callable[[Row], bool]) -> None:
    """Drop the rows that are not wanted."""
    rows = [row for row in read_rows(path) if wanted(row)]
    if path.is_file():
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def append_row(path: Path, row: Row) -> None:
    """Add a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
