"""Processes that read damaged files one after another, under watch: a crash or a hang ends one, never the run."""

import json
import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.catalogue import FORMATS
from benchmarks.faults.format import Format, files_below, same_value, write_files
from benchmarks.faults.judge import CRASH, HANG, WRONG, Base, Ending, judge
from benchmarks.faults.splices import Recipe, mutated, recipe_of

LIMIT_S = 30.0
"""A case of a few kilobytes that takes longer hangs; machines may be busy."""
MAX_ADDRESSES_BYTES = 4 * 2**30
"""Address space beyond the process: larger requests fail at once, smaller ones show as memory."""
_READY, _READ = "ready", "read"

BY_NAME: Mapping[str, Format] = {format.name: format for format in FORMATS}


class Watched:
    """A worker process that is begun when needed, and again after it ended."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, recipe: Recipe) -> Ending:
        """Read one damaged case."""
        pipe = self._pipe or self._start()
        pipe.send(recipe.plain())
        is_read = False
        while True:
            try:
                if not pipe.poll(LIMIT_S):
                    return self._ended(Ending(verdict=HANG, detail=f"more than {LIMIT_S:g} s"), is_read=is_read)
                answer = pipe.recv()
            except (EOFError, ConnectionResetError):
                self._process.join()
                return self._ended(Ending(verdict=CRASH, error=f"signal {-self._process.exitcode}"), is_read=is_read)
            if answer != _READ:
                return Ending(**answer)
            is_read = True

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = self._pipe = None

    def _ended(self, ending: Ending, *, is_read: bool) -> Ending:
        self.close()
        # It was the other reader that broke: it refuses the file, but samereg did not.
        return Ending(verdict=WRONG, detail=f"the other reader ends in a {ending.verdict}") if is_read else ending

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        # Loading libraries is no part of a case.
        if ours.recv() != _READY:
            raise RuntimeError("a worker has to say first that it is ready")
        return ours


def work(pipe: Connection) -> None:
    """Read cases until the pipe is closed."""
    _quieten()
    torch.set_num_threads(1)
    _limit_addresses()
    pipe.send(_READY)
    while True:
        try:
            recipe = recipe_of(pipe.recv())
        except EOFError:
            return
        pipe.send(asdict(run_here(recipe, on_read=pipe)))


def run_here(recipe: Recipe, *, on_read: Connection | None = None) -> Ending:
    """Read one damaged case in this process."""
    format, base = BY_NAME[recipe.format], base_of(recipe.format)
    folder = Path(tempfile.mkdtemp(prefix="fault-", dir=scratch()))
    try:
        write_files(mutated(base.files, recipe.splices), folder)
        return judge(format, base, recipe, folder, on_read=None if on_read is None else lambda: on_read.send(_READ))
    finally:
        shutil.rmtree(folder)


@cache
def base_of(name: str) -> Base:
    """The undamaged base of a format, which both readers have to read alike."""
    format = BY_NAME[name]
    with tempfile.TemporaryDirectory(prefix="base-", dir=scratch()) as place:
        folder = Path(place)
        format.make(folder)
        files = files_below(folder)
        value = format.read(folder)
        if not same_value(value, format.reference(folder)):
            raise AssertionError(f"{name}: the two readers differ on the undamaged base")
    return Base(files=files, value=value, size=sum(len(content) for content in files.values()))


def scratch() -> str | None:
    """Folder in memory for the cases, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def recipe_text(recipe: Recipe) -> str:
    """A recipe on one line."""
    return json.dumps(recipe.plain(), separators=(",", ":"))


def _quieten() -> None:
    """Libraries in C write to the error stream; what they say is not looked at."""
    logging.disable(logging.CRITICAL)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)


def _limit_addresses() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_ADDRESSES_BYTES, used + MAX_ADDRESSES_BYTES))
