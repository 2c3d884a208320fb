"""What C and C++ libraries print to the error stream, kept from it: HDF5 and MetaIO print whatever the caller does."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)

_STDERR = 2
_TURN = threading.RLock()
"""The error stream is the process's: one thread at a time may turn it away."""


@contextmanager
def silenced() -> Iterator[None]:
    """Turn the error stream of the process away; what was printed meanwhile is logged at level debug."""
    with _TURN, tempfile.TemporaryFile() as printed:
        try:
            stream = os.dup(_STDERR)
        except OSError:
            # A process without an error stream prints nothing.
            yield
            return
        os.dup2(printed.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(stream, _STDERR)
            os.close(stream)
            printed.seek(0)
            text = printed.read().decode("utf-8", "replace").strip()
    if text:
        _LOG.debug("libraries printed: %s", text)
