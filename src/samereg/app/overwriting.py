"""Checks of outputs before any computation: existing files, inputs, concurrent runs, write permission."""

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from samereg.errors import UsageError
from samereg.io.atomic import claimed_file


@contextmanager
def claimed_outputs(*paths: Path, overwrite: bool) -> Iterator[None]:
    """Context that locks the outputs of a command against other runs.

    Args:
        paths: output files.
        overwrite: replace existing files.

    Raises:
        UsageError: one exists and `overwrite` is false, is being written by another run, or is named twice.
        FileError: one cannot be written.
    """
    with ExitStack() as stack:
        for number, path in enumerate(paths):
            if path in paths[:number]:
                raise UsageError(f"{path}: would be written twice; give each output a name of its own.")
            _refuse_existing(path, overwrite=overwrite)
            stack.enter_context(claimed_file(path))
            # Checked again, because the run that held the lock may have written it.
            _refuse_existing(path, overwrite=overwrite)
        yield


def refuse_input(output: Path, inputs: Iterable[Path | None]) -> None:
    """Checks that an output is not an input, even with `overwrite`.

    Raises:
        UsageError: `output` is one of the inputs.
    """
    for path in inputs:
        if path is not None and _key(path) == _key(output):
            raise UsageError(f"{output}: is also an input; need another output.")


def refuse_collisions(outputs: dict[Path, Path]) -> None:
    """Checks that no two inputs have the same output, including on case-insensitive disks.

    Args:
        outputs: output file of each input.

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
        raise UsageError(f"{path}: already exists; give another output or --overwrite")


def _key(path: Path) -> str:
    """Normalised path: links resolved, case folded, composed accents."""
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()
