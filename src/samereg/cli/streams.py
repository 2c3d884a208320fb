"""Standard streams and signals: failed printing never loses a result, and termination leaves no temporary files."""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import TextIO

EXIT_UNPRINTED = 3
EXIT_INTERRUPTED = 130
_ENDING = ("SIGTERM", "SIGHUP")
_SIGNALLED = 128
"""Offset of exit codes for signals, as in shells."""


class _Terminated(KeyboardInterrupt):
    """Termination request, which is handled like Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = _SIGNALLED + number


@contextmanager
def clean_termination() -> Iterator[None]:
    """Context that treats SIGTERM and SIGHUP as interrupts, in the main thread and unless they are ignored."""
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
    """Reports that the process was interrupted or terminated, and returns its exit code."""
    if isinstance(error, _Terminated):
        print_error(f"samereg: terminated by {error}")
        return error.exit_code
    print_error("samereg: interrupted")
    return EXIT_INTERRUPTED


def prepare_streams() -> None:
    """Makes standard streams writable: closed ones are redirected to null, unencodable characters are escaped.

    Otherwise the next opened file would get the descriptor of the closed stream, and the output of libraries.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Takes the lowest free descriptor, that of the closed stream; read-only, so that printing fails visibly.
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_error(sentence: str) -> None:
    """Prints a sentence to stderr, if that is writable."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def print_output(text: str, code: int) -> int:
    """Prints the output of a command and returns its exit code, or 1 if printing failed.

    A closed pipe, as with `head`, is not an error.
    """
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        _redirect_to_null(sys.stdout)
    except OSError as error:
        _redirect_to_null(sys.stdout)
        why = "is closed" if error.errno == errno.EBADF else f"failed ({error.strerror})"
        print_error(f"samereg: error: The result could not be printed: standard output {why}. Written files are kept.")
        return code or EXIT_UNPRINTED
    return code


@contextmanager
def printing_at_once() -> Iterator[None]:
    """Context in which a command that goes on for long prints to standard output at once, not when it has ended."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        yield
    with redirect_stdout(sys.__stdout__):
        print_output(printed.getvalue(), 0)


def _redirect_to_null(stream: TextIO) -> None:
    """Redirects a stream to null, so that flushing its buffer at exit is not a second error."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _end(number: int, _: FrameType | None) -> None:
    for name in _ENDING:
        if name in vars(signal):
            # A second signal does not interrupt the cleanup.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise _Terminated(number)
