"""Files and folders that appear whole or not at all; knows nothing of what is written into them."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samereg.errors import FileError, UsageError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Temporary path in the same folder that becomes `path` when the block succeeds, and vanishes when not.

    The temporary name ends like `path`, so that writers find the format. The folder is made if it is missing,
    and removed again if the block fails.

    Args:
        path: file to write; replaced if it exists.

    Raises:
        FileError: the file cannot be written.
    """
    with _parents(path):
        temporary = _sibling(path)
        try:
            yield temporary
            temporary.replace(path)
        except OSError as error:
            raise _not_writable(path, error) from error
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Temporary folder beside `path` that becomes `path` when the block succeeds, and vanishes when not.

    Args:
        path: folder to make.
        overwrite: if the folder exists and holds something, put the new files in, over those of the same name;
            others stay, so that no choice of folder can cost a user's own files.

    Raises:
        UsageError: `path` is a file, or a folder that is not empty and `overwrite` is off.
        FileError: the folder cannot be written.
    """
    _refuse_taken(path, overwrite=overwrite)
    with _parents(path):
        temporary = _sibling(path)
        try:
            temporary.mkdir()
        except OSError as error:
            raise _not_writable(path, error) from error
        try:
            yield temporary
            try:
                _move_into(temporary, path)
            except OSError as error:
                raise _not_writable(path, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        yield
    finally:
        if not path.exists():
            for folder in missing:
                _remove_if_empty(folder)


def _sibling(path: Path) -> Path:
    return path.absolute().parent / f".partial-{secrets.token_hex(4)}-{path.name}"


def _refuse_taken(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        if any(path.iterdir()) and not overwrite:
            raise UsageError(f"{path}: exists and is not empty; give another folder, or --overwrite.")
    elif path.exists():
        raise UsageError(f"{path}: is a file; need a folder to write into.")


def _move_into(source: Path, target: Path) -> None:
    """Move a folder to where there is none, or its contents into the one that is there."""
    if not target.exists():
        source.rename(target)
        return
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move_into(entry, place)
        else:
            entry.replace(place)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _not_writable(path: Path, error: OSError) -> FileError:
    return FileError(f"{path}: cannot be written: {error.strerror or error}.")
