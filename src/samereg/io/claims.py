"""Claims on outputs: while a run holds one, no other run writes there; it ends with its process, however that ends."""

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
"""What file systems answer that cannot lock files; there, only what appears meanwhile is refused."""


@contextmanager
def claimed(lock: Path, output: Path) -> Iterator[None]:
    """Hold a lock file, which is removed afterwards.

    The system lets go of the lock when the process ends, so that a killed run blocks no other.

    Args:
        lock: file to make and hold.
        output: what the message names.

    Raises:
        UsageError: another run holds it.
        OSError: it cannot be made.
    """
    descriptor = _taken(lock, output)
    try:
        yield
    finally:
        # Removed while it is held: whoever waits for this file sees that it is no longer the one under its name.
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
            raise UsageError(f"{output}: another run of samereg is writing it; wait for that, or give another output.")
        if _lies_at(lock, descriptor):
            return descriptor
        os.close(descriptor)


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        # What another user's killed run left can be locked all the same.
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
