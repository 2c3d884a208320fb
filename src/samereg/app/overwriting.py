"""Outputs: refused before anything is computed where they exist, are inputs, are being written, or cannot be."""

import unicodedata
from collections.abc import Iterable, Iterator
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


def refuse_input(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, whatever else may be overwritten.

    Raises:
        UsageError: `output` is one of the inputs.
    """
    for path in inputs:
        if path is not None and _key(path) == _key(output):
            raise UsageError(f"{output}: is an input too; need another output.")


def refuse_collisions(outputs: dict[Path, Path]) -> None:
    """Refuse inputs that would be written to one file, also where a disk takes capitals for small letters.

    Args:
        outputs: for each input, the file to write.

    Raises:
        UsageError: two of them are the same.
    """
    taken: dict[str, Path] = {}
    for source, output in outputs.items():
        other = taken.setdefault(_key(output), source)
        if other != source:
            raise UsageError(
                f"{source}: would be written to {output}, as {other} is; rename one, or call the command for each."
            )


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if not overwrite and path.is_file():
        raise UsageError(f"{path}: exists already; give another output or --overwrite")


def _key(path: Path) -> str:
    """What two names of one file have in common on every disk: links followed, one case, composed accents."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
