"""Keeps freed memory in the process: mapping and zeroing it again costs seconds per registration."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
"""Numbers of glibc's `mallopt`."""

_PAD_BYTES = 256 << 20


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to reuse large blocks instead of returning them to the system each time.

    Memory then stays at its peak until the process ends, which suits a command that ends soon. Does nothing
    on other systems.

    Returns:
        Whether it was set.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library than glibc
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _PAD_BYTES, _ARENA_MAX: 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
