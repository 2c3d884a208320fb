"""Files and folders that appear whole or not at all; knows nothing of what is written into them."""

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
"""How names begin of what is not finished yet."""
LOCK = f"{PARTIAL}lock"
"""File in an output folder that the run holds which writes into it."""
_STAGED = re.compile(r"\.partial-[0-9a-f]{8}")
_NO_CONTENT = (LOCK, "lost+found")
"""Entries of a folder that count for nothing: a fresh volume is empty though it holds `lost+found`."""
_CANNOT_REPLACE = (errno.EXDEV, errno.EBUSY)
"""What the system answers when a file to be replaced is a mount point of its own."""
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_LONGEST_TAIL = 40
"""Characters of its name that the temporary file of an output keeps, its format's suffix among them."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Temporary path in the same folder that becomes `path` when the block succeeds, and vanishes when not.

    The temporary name ends like `path`, so that writers find the format. The folder is made if it is missing,
    and removed again if the block fails. Of a link, the file that it leads to is replaced. What was written is on the
    disk before it takes its place, so that a full disk is noticed.

    Args:
        path: file to write; replaced if it exists.

    Raises:
        FileError: the file cannot be written, or stayed empty.
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
    """Temporary folder inside `path` whose contents move there when the block succeeds; nothing stays when not.

    `path` is made at once and claimed: a second run into it is refused before it computes. It may be a mount point or
    a link to a folder.

    Args:
        path: folder to make.
        overwrite: if the folder holds something, put the new files in, over those of the same name; others stay, so
            that no choice of folder can cost a user's own files.
        ours: patterns of files that an earlier run may have left; with `overwrite` those that this run did not write
            are removed, so that none is taken for its result.

    Raises:
        UsageError: `path` is a file, is written by another run, or is not empty and `overwrite` is off.
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
    """Keep other runs from writing a file meanwhile; that it can be written is found out at once.

    Raises:
        UsageError: another run is writing it.
        FileError: it cannot be written: it is a folder, its name is too long, or no file can be made beside it.
    """
    target = through_links(path)
    _refuse_no_file(path, target)
    with _made(target.parent, path), ExitStack() as stack:
        with _writing(path):
            stack.enter_context(claimed(target.with_name(f"{LOCK}-{_tail(path)}"), path))
        yield


@contextmanager
def claimed_directory(path: Path) -> Iterator[None]:
    """Keep other runs from writing into a folder meanwhile; that it can be written is found out at once.

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
    """Refuse a folder in which no file can be made, by making one; a missing folder is made and removed, too.

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
    """What lies in a folder, without what a run holds it by or a killed one left unfinished."""
    return [each for each in folder.iterdir() if each.name not in _NO_CONTENT and not each.name.startswith(PARTIAL)]


def through_links(path: Path) -> Path:
    """Where a path leads, which need not exist.

    Raises:
        FileError: links that lead in a circle, or a name that is too long.
    """
    target = Path(os.path.realpath(path))
    with _writing(path):
        circle = target.is_symlink()
    if circle:
        raise FileError(f"{path}: is a link that leads in a circle; need a file or folder.")
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
    """A folder with those above it; afterwards those that were made and stayed empty are removed."""
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
    """End of a name in characters that every library takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "", path.name)[-_LONGEST_TAIL:]


def _remove_staged(folder: Path) -> None:
    """Remove what killed runs left: the claim says that nobody is at work on it."""
    for entry in folder.iterdir():
        if _STAGED.fullmatch(entry.name) and entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def _sync(temporary: Path, path: Path) -> None:
    """Have the disk hold what was written: some writers do not say that it was full."""
    if temporary.stat().st_size == 0:
        raise FileError(f"{path}: cannot be written: the file stayed empty; the disk may be full.")
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
    """Move files, in the order in which they were written, and remove those of an earlier run that they do not replace.

    The record of a run, which is written last, is there only when everything else is.
    """
    files = sorted((each for each in source.rglob("*") if not each.is_dir()), key=lambda each: each.stat().st_mtime_ns)
    places = {each: target / each.relative_to(source) for each in files}
    for place in places.values():
        if place.is_dir() or (place.exists() and not overwrite):
            raise UsageError(f"{place}: appeared or is a folder, where a file is to be written; give another folder.")
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
