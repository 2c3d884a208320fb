"""Standard streams and signals of the command line: printing never costs a result, and being ended leaves no litter."""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

EXIT_UNPRINTED = 3
EXIT_INTERRUPTED = 130
_ENDING = ("SIGTERM", "SIGHUP")
_SIGNALLED = 128
"""Added to the number of a signal, as shells do."""


class _Terminated(KeyboardInterrupt):
    """The process is asked to end; everything is cleaned up as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = _SIGNALLED + number


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Take SIGTERM and SIGHUP as interruptions; outside the main thread, and where they are ignored, leaves them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _ENDING if name in vars(signal)]
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def interrupted(error: KeyboardInterrupt) -> int:
    """Say that the process was interrupted or asked to end; its exit code."""
    if isinstance(error, _Terminated):
        complain(f"samereg: ended by {error}")
        return error.exit_code
    complain("samereg: interrupted")
    return EXIT_INTERRUPTED


def prepare_streams() -> None:
    """Make standard streams that can always be written: closed ones lead nowhere, odd characters become escapes.

    Without this the next file that is opened would get the number of the closed stream, and what libraries print.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken: that of the closed stream. Read-only, so that printing fails and is said.
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(sentence: str) -> None:
    """Print a sentence on standard error; where that cannot be written, nobody can be told."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def delivered(text: str, code: int) -> int:
    """Print what a command has to say; the exit code of the command, or another if nothing could be printed.

    A reader that has seen enough, as `head`, is no error.
    """
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        why = "is closed" if error.errno == errno.EBADF else f"failed ({error.strerror})"
        complain(
            f"samereg: error: The result could not be printed: standard output {why}. Files that were written stay."
        )
        return code or EXIT_UNPRINTED
    return code


def _silence(stream: TextIO) -> None:
    """Lead a stream nowhere, so that what is left in its buffer is no second error when the process ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _end(number: int, _: FrameType | None) -> None:
    for name in _ENDING:
        if name in vars(signal):
            # Cleaning up is not interrupted by a second one.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise _Terminated(number)
