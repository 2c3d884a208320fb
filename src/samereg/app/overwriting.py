"""Outputs that exist."""

from pathlib import Path

from samereg.errors import UsageError


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file.

    Raises:
        UsageError: `path` exists and `overwrite` is off.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already; give another output or --overwrite")
