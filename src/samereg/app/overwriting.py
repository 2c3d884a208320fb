"""Outputs that exist or cannot be written, refused before anything is computed."""

import os
from pathlib import Path

from samereg.errors import FileError, UsageError


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file.

    Raises:
        UsageError: `path` exists and `overwrite` is off.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already; give another output or --overwrite")


def require_writable(path: Path) -> None:
    """Refuse a file or folder that cannot be made where it should lie.

    Raises:
        FileError: the nearest folder above it that exists is a file, or may not be written.
    """
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        raise FileError(f"{path}: cannot be written, because {nearest} is a file; need a folder there.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise FileError(f"{path}: cannot be written: no permission to write into {nearest}.")
