"""Outputs that exist, cannot be written, are inputs or each other, refused before anything is computed."""

import os
import unicodedata
from collections.abc import Iterable
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


def refuse_input(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, whatever else may be overwritten.

    Raises:
        UsageError: `output` is one of the inputs.
    """
    for path in inputs:
        if path is not None and _key(path) == _key(output):
            raise UsageError(f"{output}: is an input too; need another output.")


def refuse_collisions(outputs: dict[Path, Path]) -> None:
    """Refuse inputs that would be written to one file, also where a disk takes capitals for small letters.

    Args:
        outputs: for each input, the file to write.

    Raises:
        UsageError: two of them are the same.
    """
    taken: dict[str, Path] = {}
    for source, output in outputs.items():
        other = taken.setdefault(_key(output), source)
        if other != source:
            raise UsageError(
                f"{source}: would be written to {output}, as {other} is; rename one, or call the command for each."
            )


def _key(path: Path) -> str:
    """What two names of one file have in common on every disk: links followed, one case, composed accents."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
