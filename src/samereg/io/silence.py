"""Redirection of stderr, to which HDF5 and MetaIO print unconditionally."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)

_STDERR = 2
_TURN = threading.RLock()
"""stderr belongs to the whole process, so only one thread at a time may redirect it."""


@contextmanager
def silenced() -> Iterator[None]:
    """Context that redirects stderr of the process; captured output is logged at debug level."""
    with _TURN, tempfile.TemporaryFile() as printed:
        try:
            stream = os.dup(_STDERR)
        except OSError:
            # A process without stderr prints nothing.
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
