"""The part `disks`: full and read-only disks, no folder for temporary files, no home; each ends in a sentence."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.kills import every_file, fingerprints, prepare
from benchmarks.faults.processes import FIXED, MOVING, run_child
from benchmarks.faults.records import append_row, read_rows
from samereg.cli.main import main

FULL_BYTES = 16 * 1024
"""A disk of four blocks: no result of the small pair fits."""
EXIT_INPUT = 3


class NotHere(Exception):  # noqa: N818 - names what it says
    """A disk that this process may not make."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command that writes.

    Attributes:
        name: of it.
        words: what is typed, of the folder of the inputs and the folder to write into.
    """

    name: str
    words: Callable[[Path, Path], Sequence[str]]


def _scan(place: Path, name: str) -> str:
    return str(place / "cohort" / name)


def _transform(place: Path) -> str:
    return str(place / "registered" / "transform.h5")


COMMANDS: tuple[Command, ...] = (
    Command(
        name="register",
        words=lambda place, out: (
            "register",
            "-f",
            _scan(place, FIXED),
            "-m",
            _scan(place, MOVING),
            "-o",
            str(out / "new"),
            "--preset",
            "fast",
            "--device",
            "cpu",
        ),
    ),
    Command(
        name="apply",
        words=lambda place, out: (
            "apply",
            "-t",
            _transform(place),
            "-i",
            _scan(place, MOVING),
            "-r",
            _scan(place, FIXED),
            "-o",
            str(out / "moved.nii.gz"),
        ),
    ),
    Command(
        name="convert",
        words=lambda place, out: (
            "convert",
            "-t",
            _transform(place),
            "-o",
            str(out / "field.mha"),
            "-f",
            _scan(place, FIXED),
        ),
    ),
    Command(name="invert", words=lambda place, out: ("invert", "-t", _transform(place), "-o", str(out / "inverse.h5"))),
    Command(
        name="jacobian",
        words=lambda place, out: (
            "jacobian",
            "-t",
            _transform(place),
            "-r",
            _scan(place, FIXED),
            "-o",
            str(out / "jacobian.nii.gz"),
        ),
    ),
    Command(
        name="phantom",
        words=lambda _place, out: (
            "phantom",
            "-o",
            str(out / "new"),
            "--subjects",
            "1",
            "--shape",
            "20",
            "24",
            "28",
            "--spacing",
            "6",
            "6",
            "6",
        ),
    ),
)


def run_disks(path: Path, place: Path, *, on_check: Callable[[str, str], None] | None = None) -> None:
    """Every check that has no row yet."""
    prepare(place)
    done = {(row["disk"], row["command"]) for row in read_rows(path)}
    checks: list[tuple[str, str, Callable[[], str]]] = []
    for command in COMMANDS:
        checks.append(("full", command.name, lambda command=command: refused_on(command, place, "full")))  # type: ignore[misc]
        checks.append(("read-only", command.name, lambda command=command: refused_on(command, place, "read-only")))  # type: ignore[misc]
    for name, change in ENVIRONMENTS.items():
        for command in COMMANDS[:2]:
            checks.append((name, command.name, lambda c=command, e=change: same_result_in(c, place, e)))  # type: ignore[misc]
    for disk, name, check in checks:
        if (disk, name) in done:
            continue
        try:
            fault = check()
            append_row(path, {"disk": disk, "command": name, "fault": fault})
        except NotHere as error:
            fault = f"skipped: {error}"
            append_row(path, {"disk": disk, "command": name, "fault": "", "skipped": str(error)})
        if on_check is not None:
            on_check(f"{disk} disk, {name}", fault or "good")


ENVIRONMENTS: Mapping[str, Mapping[str, str | None]] = {
    "no folder for temporary files": {"TMPDIR": "/nowhere"},
    "no home": {"HOME": None},
    "a home that is not there": {"HOME": "/nowhere"},
}
"""Changes of the environment, in which the same result is expected."""


def refused_on(command: Command, place: Path, disk: str) -> str:
    """What is wrong with a command on a disk that takes nothing; empty for nothing."""
    log = place / "log.txt"
    with _disk(place / "disk", disk) as out:
        before = sorted(out.rglob("*"))
        ended = run_child(lambda: main([*command.words(place, out), "-q"]), log)
        left = [str(path) for path in sorted(out.rglob("*")) if path not in before]
        sentences = [line for line in ended.words.splitlines() if line.strip()]
        if ended.code != EXIT_INPUT or "Traceback" in ended.words:
            return f"exit code {ended.code}: {ended.words[-200:]}"
        if not sentences or str(out) not in sentences[-1]:
            return f"its sentence does not name the file: {sentences[-1:]}"
        return f"leaves {', '.join(left)}" if left else ""


def same_result_in(command: Command, place: Path, environment: Mapping[str, str | None]) -> str:
    """What is wrong with a command in another environment: it has to write the same as in this one."""
    found = []
    for changes in ({}, environment):
        out = place / "disk"
        variables = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
        for name in (name for name, value in changes.items() if value is None):
            variables.pop(name, None)
        words = [sys.executable, "-m", "samereg.cli.main", *command.words(place, out), "-q"]
        done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"exit code {done.returncode}: {done.stderr[-200:]}"
        found.append(fingerprints(out, every_file))
        _empty(out)
    return "" if found[0] == found[1] else "writes something else"


@contextmanager
def _disk(folder: Path, kind: str) -> Iterator[Path]:
    """A disk of a few kilobytes, or one that takes nothing at all."""
    _empty(folder)
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        raise NotHere("needs root, to mount a disk")
    options = f"size={FULL_BYTES}" if kind == "full" else f"size={FULL_BYTES},ro"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NotHere(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
