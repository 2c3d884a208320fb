"""Run folders that appear whole, whatever is killed meanwhile, and never cost a user's own files."""

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from samereg.app.pairs.record import PAIR_RECORD, read_pair_record
from samereg.errors import FileError
from samereg.io.atomic import PARTIAL, contents

_OLD = f"{PARTIAL}old-"
"""Name of an earlier run folder while the new one takes its place."""


@contextmanager
def staged_folder(output: Path) -> Iterator[Path]:
    """Hidden folder beside the run folders; what is left in it afterwards is removed."""
    staging = output / f"{PARTIAL}{secrets.token_hex(4)}"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def move_into_place(staging: Path, target: Path) -> None:
    """Make a complete folder the run folder of a pair.

    Of a run folder that is there already, files that it did not hold when it was made are taken along.

    Raises:
        FileError: something is there that is no run folder of a pair.
    """
    if target.exists():
        for path in _own_files_of_users(target):
            place = staging / path.relative_to(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        old = target.with_name(_OLD + target.name)
        target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        staging.rename(target)


def tidy(output: Path) -> None:
    """Remove what killed runs left unfinished, and put back a folder that they had taken from its place."""
    for path in output.iterdir():
        if path.name.startswith(_OLD) and path.is_dir():
            place = path.with_name(path.name.removeprefix(_OLD))
            if not place.exists():
                path.rename(place)
                continue
        if path.name.startswith(PARTIAL) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def refuse_strangers(targets: Collection[Path]) -> None:
    """Refuse folders that hold something but were not made for a pair.

    Raises:
        FileError: one does.
    """
    for target in targets:
        if not os.path.lexists(target):
            continue
        if not target.is_dir() or (contents(target) and not (target / PAIR_RECORD).is_file()):
            raise FileError(
                f"{target}: is there already and was not made by samereg cohort; move it away, or give another output."
            )


def _own_files_of_users(folder: Path) -> list[Path]:
    refuse_strangers([folder])
    record = read_pair_record(folder)
    ours = {PAIR_RECORD, *(record.files if record is not None else ())}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if path.relative_to(folder).as_posix() not in ours]
