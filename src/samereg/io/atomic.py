"""Atomic writing of files and folders, independent of their contents."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from samereg.errors import FileError, MemoryLimitError, UsageError
from samereg.io.claims import claimed

PARTIAL = ".partial-"
"""Prefix of the names of unfinished files and folders."""
LOCK = f"{PARTIAL}lock"
"""Lock file of the run that writes into an output folder."""
_STAGED = re.compile(r"\.partial-[0-9a-f]{8}")
_NO_CONTENT = (LOCK, "lost+found")
"""Entries that do not make a folder non-empty, such as `lost+found` of a new volume."""
_CANNOT_REPLACE = (errno.EXDEV, errno.EBUSY)
"""System errors for a file to be replaced that is itself a mount point."""
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_MAX_TAIL = 40
"""Number of trailing characters of an output's name that its temporary file keeps, including the suffix."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Context of a temporary path in the same folder, which is renamed to `path` on success and removed on failure.

    The temporary name ends like `path`, so that writers recognise the format. A missing folder is created,
    and removed again on failure. If `path` is a link, its target is replaced. The file is synced to
    disk before it is renamed, so that a full disk is detected.

    Args:
        path: file to write; replaced if it exists.

    Raises:
        FileError: the file cannot be written, or is empty.
    """
    target = through_links(path)
    _refuse_no_file(path, target)
    with _made(target.parent, path):
        temporary = target.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{_tail(path)}")
        try:
            with _writing(path):
                yield temporary
                _sync(temporary, path)
                _replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False, ours: Sequence[str] = ()) -> Iterator[Path]:
    """Context of a temporary folder in `path`, whose contents are moved to `path` on success and removed on failure.

    `path` is created and locked at once: a second run into it is refused before it computes. It may be a mount point or
    a link to a folder.

    Args:
        path: folder to create.
        overwrite: write into a non-empty folder, replacing files of the same name; others are kept, so
            that users never lose their own files.
        ours: patterns of files that an earlier run may have written; with `overwrite`, those that this run does not
            replace are removed, so that none is mistaken for its result.

    Raises:
        UsageError: `path` is a file, is locked by another run, or is not empty and `overwrite` is false.
        FileError: the folder cannot be written.
    """
    target = through_links(path)
    _refuse_taken(path, target, overwrite=overwrite)
    with _made(target, path), ExitStack() as stack:
        with _writing(path):
            stack.enter_context(claimed(target / LOCK, path))
        _remove_staged(target)
        _refuse_taken(path, target, overwrite=overwrite)
        temporary = target / f"{PARTIAL}{secrets.token_hex(4)}"
        try:
            with _writing(path):
                temporary.mkdir()
            yield temporary
            with _writing(path):
                _deliver(temporary, target, overwrite=overwrite, ours=ours)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def claimed_file(path: Path) -> Iterator[None]:
    """Context that locks an output file against other runs, after checking that it can be written.

    Raises:
        UsageError: another run is writing to it.
        FileError: it cannot be written: it is a folder, its name is too long, or its folder is not writable.
    """
    target = through_links(path)
    _refuse_no_file(path, target)
    with _made(target.parent, path), ExitStack() as stack:
        with _writing(path):
            stack.enter_context(claimed(target.with_name(f"{LOCK}-{_tail(path)}"), path))
        yield


@contextmanager
def claimed_directory(path: Path) -> Iterator[None]:
    """Context that locks an output folder against other runs, after checking that it can be written.

    Raises:
        UsageError: another run is writing into it, or it is a file.
        FileError: it cannot be written.
    """
    target = through_links(path)
    _refuse_taken(path, target, overwrite=True)
    with _made(target, path), ExitStack() as stack:
        with _writing(path):
            stack.enter_context(claimed(target / LOCK, path))
        yield


def require_writable(folder: Path) -> None:
    """Checks that a folder is writable, by creating and removing a file, and the folder if it is missing.

    Raises:
        UsageError: it is a file.
        FileError: it cannot be written.
    """
    target = through_links(folder)
    _refuse_taken(folder, target, overwrite=True)
    with _made(target, folder), _writing(folder):
        probe = target / f"{PARTIAL}{secrets.token_hex(4)}"
        probe.touch(exist_ok=False)
        probe.unlink()


def contents(folder: Path) -> list[Path]:
    """Contents of a folder, without lock files and unfinished files of samereg."""
    return [each for each in folder.iterdir() if each.name not in _NO_CONTENT and not each.name.startswith(PARTIAL)]


def through_links(path: Path) -> Path:
    """Target of a path after following links; it need not exist.

    Raises:
        FileError: circular links, or a name that is too long.
    """
    target = Path(os.path.realpath(path))
    with _writing(path):
        circle = target.is_symlink()
    if circle:
        raise FileError(f"{path}: is a circular link; need a file or folder.")
    return target


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryLimitError(f"Out of memory: {path} could not be written.") from error
        raise FileError(f"{path}: cannot be written: {error.strerror or error}.") from error


@contextmanager
def _made(folder: Path, path: Path) -> Iterator[None]:
    """Context of a folder, created with its parents; created folders that are still empty are removed at the end."""
    with _writing(path):
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        nearest = folder if not missing else missing[-1].parent
        if not nearest.is_dir():
            raise FileError(f"{path}: cannot be written, because {nearest} is a file; need a folder there.")
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for each in missing:
            with suppress(OSError):  # holds something
                each.rmdir()


def _refuse_no_file(path: Path, target: Path) -> None:
    with _writing(path):
        if target.is_dir():
            raise FileError(f"{path}: is a folder; need the name of a file.")
        if target.exists() and not target.is_file():
            raise FileError(f"{path}: is a device or a pipe; need the name of a file.")


def _refuse_taken(path: Path, target: Path, *, overwrite: bool) -> None:
    with _writing(path):
        if target.is_dir():
            if not overwrite and contents(target):
                raise UsageError(f"{path}: exists and is not empty; give another folder, or --overwrite.")
        elif target.exists():
            raise UsageError(f"{path}: is a file; need a folder to write into.")


def _tail(path: Path) -> str:
    """End of a name, in characters that every library accepts."""
    return re.sub(r"[^A-Za-z0-9._-]", "", path.name)[-_MAX_TAIL:]


def _remove_staged(folder: Path) -> None:
    """Removes unfinished files of killed runs; the lock guarantees that no run is using them."""
    for entry in folder.iterdir():
        if _STAGED.fullmatch(entry.name) and entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def _sync(temporary: Path, path: Path) -> None:
    """Syncs a file to disk, because some writers do not report a full disk."""
    if temporary.stat().st_size == 0:
        raise FileError(f"{path}: cannot be written: the file is empty; the disk may be full.")
    with temporary.open("rb+") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise


def _replace(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in _CANNOT_REPLACE:
            raise
        shutil.copyfile(source, target)


def _deliver(source: Path, target: Path, *, overwrite: bool, ours: Sequence[str]) -> None:
    """Moves files in the order in which they were written, and removes those of an earlier run that are not replaced.

    The run record is written last, so it exists only if all other files do.
    """
    files = sorted((each for each in source.rglob("*") if not each.is_dir()), key=lambda each: each.stat().st_mtime_ns)
    places = {each: target / each.relative_to(source) for each in files}
    for place in places.values():
        if place.is_dir() or (place.exists() and not overwrite):
            raise UsageError(f"{place}: appeared during the run, or is a folder; give another output folder.")
    for folder in sorted(each for each in source.rglob("*") if each.is_dir()):
        (target / folder.relative_to(source)).mkdir(exist_ok=True)
    for each, place in places.items():
        _deliver_file(each, place)
    if overwrite:
        stale = {old for pattern in ours for old in target.glob(pattern)} - set(places.values())
        for old in stale:
            if old.is_file():
                old.unlink()


def _deliver_file(source: Path, place: Path) -> None:
    if not place.is_symlink():
        _replace(source, place)
        return
    with atomic_file(place) as temporary:
        shutil.copyfile(source, temporary)
