"""Output of commands: results to stdout, log and progress to stderr."""

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
    """Log to stderr: warnings by default, everything with -v, only errors with -q."""
    level = logging.ERROR if messages.quiet else logging.INFO if messages.verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("samereg: %(levelname)s: %(message)s"))
    logger = logging.getLogger("samereg")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def print_json(value: object) -> None:
    """Print plain values, as from `to_plain`, as JSON to stdout; without NaN and infinity."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print a title and one aligned line per fact to stdout."""
    print(title)
    width = max((len(name) for name in facts), default=0)
    for name, text in facts.items():
        print(f"  {name:<{width}}  {text}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print right-aligned columns to stdout."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))


@contextmanager
def progress(messages: Messages) -> Iterator[OnProgress]:
    """Progress callback that draws a progress bar on stderr; silent with -q and without a terminal."""
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
    """Log a warning, which is shown unless -q is given."""
    logging.getLogger("samereg").warning(sentence)


@contextmanager
def naming_flags(**flags: str) -> Iterator[None]:
    """Context that adds the flag to type to an `UnspecifiedError`.

    Args:
        flags: words to type for each missing item of `UnspecifiedError`.

    Raises:
        UsageError: a format or image has to be given.
    """
    try:
        yield
    except UnspecifiedError as error:
        if error.what not in flags:
            raise
        raise UsageError(f"{str(error).removesuffix('.')}; give {flags[error.what]}.") from error
