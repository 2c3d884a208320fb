"""Outputs: refused before anything is computed where they exist, are being written, or cannot be written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from samereg.errors import UsageError
from samereg.io.atomic import claimed_file


@contextmanager
def claimed_outputs(*paths: Path, overwrite: bool) -> Iterator[None]:
    """Keep the files that a command is going to write from other runs while it computes and writes them.

    Args:
        paths: files to write.
        overwrite: replace those that exist.

    Raises:
        UsageError: one exists and `overwrite` is off, another run is writing it, or one is named twice.
        FileError: one cannot be written.
    """
    with ExitStack() as stack:
        for number, path in enumerate(paths):
            if path in paths[:number]:
                raise UsageError(f"{path}: would be written twice; give each output a name of its own.")
            _refuse_existing(path, overwrite=overwrite)
            stack.enter_context(claimed_file(path))
            # Once more: the run that held it until now may have written it.
            _refuse_existing(path, overwrite=overwrite)
        yield


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if not overwrite and path.is_file():
        raise UsageError(f"{path}: exists already; give another output or --overwrite")
