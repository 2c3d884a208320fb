"""A worker process under watch: it is given one job at a time, and ended when it takes too long.

Knows nothing of what jobs do; comparisons and cohorts have their own.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, runtime_checkable

import torch

from samereg.app.machine import prepare_machine
from samereg.app.settings import MachineSettings

LAST_WORDS = 300
"""Maximum number of characters of a crashed worker's error in its record."""

_STOP_S = 10.0

OpenWorker = Callable[[torch.device], Any]
"""Called once in each worker process: makes what its jobs share. A frozen dataclass, so that equal ones are one."""


@runtime_checkable
class Job(Protocol):
    """Work that a process can be given; it travels there pickled."""

    @property
    def alone(self) -> bool:
        """Whether it needs a process of its own."""

    def perform(self, worker: Any) -> str | None:
        """Do it in a worker process.

        Args:
            worker: what the process's jobs share.

        Returns:
            Why it failed, in one sentence; None if it did not, or if it recorded that itself.
        """

    def absolute(self) -> "Job":
        """The same job with paths that mean the same wherever a worker was started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """Settings of a worker.

    Attributes:
        open: makes what the jobs of one process share.
        device: auto, cpu, cuda or cuda:N; auto is resolved on the worker's computer.
        threads: CPU threads; 0 uses all cores.
        limit_s: a job that takes longer has failed.
        log: file that takes what jobs print.
    """

    open: OpenWorker
    device: str = "cpu"
    threads: int = 0
    limit_s: float = 1800.0
    log: Path = Path(os.devnull)


class SupervisedWorker:
    """A worker process, started on first use and restarted after it was ended.

    Jobs share a process, which keeps weights and embedded scans, but for those that want to be alone.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._aborted = False
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, job: Job) -> str | None:
        """Do a job.

        A worker that exceeds the time limit is ended, and one that crashes is detected; both are failures.

        Returns:
            Why it failed; None if it did not.
        """
        if job.alone:
            self.close()
        pipe = self._pipe or self._start()
        self._settings.log.parent.mkdir(parents=True, exist_ok=True)
        before = self._settings.log.stat().st_size if self._settings.log.exists() else 0
        try:
            pipe.send(job)
            if not pipe.poll(self._settings.limit_s):
                self._end()
                return f"took longer than {self._settings.limit_s:g} s"
            reason: str | None = pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            if self._aborted:
                return None
            self._end()
            reason = f"its process crashed: {self._last_error(before)}"
        if job.alone:
            self.close()
        return reason

    def abort(self) -> None:
        """Ends the worker immediately; an unfinished job leaves no record."""
        self._aborted = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the worker; an idle one exits by itself."""
        if self._pipe is not None:
            self._pipe.close()
            self._process.join(_STOP_S)
            self._end()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        return ours

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process, self._pipe = None, None

    def _last_error(self, before: int) -> str:
        """The last line of a worker in the log."""
        with self._settings.log.open("rb") as stream:
            stream.seek(before)
            lines = stream.read().decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1][:LAST_WORDS] if lines else "it left no word"


def work(pipe: Connection, settings: WorkerSettings) -> None:
    """Main loop of a worker process: runs jobs until its pipe is closed.

    An error that nobody foresaw ends the process with its traceback in the log; its supervisor says that it ended.
    """
    _redirect(settings.log)
    Thread(target=_end_with_parent, daemon=True).start()
    device = prepare_machine(MachineSettings(device=settings.device, threads=settings.threads), seed=0)
    worker = settings.open(device)
    while (job := _next(pipe)) is not None:
        pipe.send(job.perform(worker))


def _end_with_parent() -> None:
    """End at once when the supervisor is killed: nobody waits for the job, and the next run may do it again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _next(pipe: Connection) -> Job | None:
    try:
        job: Job = pipe.recv()
    except (EOFError, ConnectionResetError):
        return None
    return job


def _redirect(log: Path) -> None:
    """Redirects the output of this process and its libraries to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(number, stream.fileno())
    os.close(number)
