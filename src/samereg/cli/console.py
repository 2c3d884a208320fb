"""What commands say: results on standard output, log and progress on standard error."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from samereg.cli.options import Messages
from samereg.errors import UnspecifiedError, UsageError

OnProgress = Callable[[str, int, int], None]
"""Called with a description, steps done and steps in all."""


def start_logging(messages: Messages) -> None:
    """Send the log to standard error: warnings, or all of it with -v, or errors alone with -q."""
    level = logging.ERROR if messages.quiet else logging.INFO if messages.verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("samereg: %(levelname)s: %(message)s"))
    logger = logging.getLogger("samereg")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def print_json(value: object) -> None:
    """Print plain values, as of `to_plain`, as JSON on standard output; never NaN or infinity, which are not JSON."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print a title and one aligned line for each fact on standard output."""
    print(title)
    width = max((len(name) for name in facts), default=0)
    for name, text in facts.items():
        print(f"  {name:<{width}}  {text}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print right-aligned columns on standard output."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))


@contextmanager
def progress(messages: Messages) -> Iterator[OnProgress]:
    """A callback that draws a progress bar on standard error; silent with -q and away from a terminal."""
    console = Console(stderr=True)
    if messages.quiet or not console.is_terminal:
        yield lambda _description, _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(description: str, done: int, total: int) -> None:
            bar.update(task, description=description, completed=done, total=total)

        yield show


def warn(sentence: str) -> None:
    """Log a warning, which standard error shows unless -q is given."""
    logging.getLogger("samereg").warning(sentence)


@contextmanager
def naming_flags(**flags: str) -> Iterator[None]:
    """Add to an error about something untold what to type in this command.

    Args:
        flags: for each of what `UnspecifiedError` can ask for, the words to type.

    Raises:
        UsageError: something has to be named that the files do not tell.
    """
    try:
        yield
    except UnspecifiedError as error:
        if error.what not in flags:
            raise
        raise UsageError(f"{str(error).removesuffix('.')}; give {flags[error.what]}.") from error
