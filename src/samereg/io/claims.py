"""Exclusive locks on outputs, released by the system when the process ends for whatever reason."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samereg.errors import UsageError

if sys.platform != "win32":
    import fcntl

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
"""Errors of file systems without locks; there, only outputs that are created meanwhile are refused."""


@contextmanager
def claimed(lock: Path, output: Path) -> Iterator[None]:
    """Context that holds a lock file, which is removed at the end.

    The system releases the lock when the process ends, so that a killed run blocks no other.

    Args:
        lock: path of the lock file.
        output: name of the output in the message.

    Raises:
        UsageError: another run holds it.
        OSError: it cannot be created.
    """
    descriptor = _taken(lock, output)
    try:
        yield
    finally:
        # Removed while held: a process that waits for this file sees that its name no longer refers to it.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _taken(lock: Path, output: Path) -> int:
    while True:
        descriptor = _opened(lock)
        try:
            free = _try_lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if not free:
            os.close(descriptor)
            raise UsageError(f"{output}: another run of samereg is writing to it; wait for it, or give another output.")
        if _lies_at(lock, descriptor):
            return descriptor
        os.close(descriptor)


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        # A lock file left by another user's killed run can still be locked.
        return os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _try_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _lies_at(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
