"""A worker process under watch: it is given one job at a time, and ended when it takes too long."""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from samereg.app.machine import prepare_machine
from samereg.app.settings import MachineSettings
from samereg.bench.job import Job, perform
from samereg.bench.methods import BaselineMethod
from samereg.bench.record import write_record
from samereg.bench.worker import Worker

LAST_WORDS = 300
"""Characters of a crashed worker's error that its record keeps."""

_STOP_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How a worker works.

    Attributes:
        device: auto, cpu, cuda or cuda:N; auto is what the worker's own computer has.
        threads: CPU threads; 0 takes as many as there are cores.
        networks: folder of trained deformation networks, or None.
        limit_s: a registration that takes longer has failed.
        log: file that takes what methods print.
    """

    device: str = "cpu"
    threads: int = 0
    networks: Path | None = None
    limit_s: float = 1800.0
    log: Path = Path(os.devnull)


class Supervised:
    """One worker process, begun when it is first needed and again after it had to be ended.

    SAME's recipes share a process, which keeps weights and embedded scans. Every registration of a foreign library gets
    a process of its own, so that no library disturbs another and the largest memory is its alone.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._aborted = False
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, job: Job) -> None:
        """Do a job; whatever happens, its record is there afterwards.

        A worker that takes too long is ended, and a worker that ends by itself is missed: both are failures.
        """
        if _alone(job):
            self.close()
        pipe = self._pipe or self._start()
        self._settings.log.parent.mkdir(parents=True, exist_ok=True)
        before = self._settings.log.stat().st_size if self._settings.log.exists() else 0
        try:
            pipe.send(job)
            if not pipe.poll(self._settings.limit_s):
                self._end()
                write_record(job.record("failed", f"took longer than {self._settings.limit_s:g} s"), job.path)
                return
            pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            if self._aborted:
                return
            self._end()
            write_record(job.record("failed", f"its process ended: {self._last_words(before)}"), job.path)
        if _alone(job):
            self.close()

    def abort(self) -> None:
        """End the worker whatever it does; a job that it was at leaves no record."""
        self._aborted = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the worker; one that is idle ends by itself."""
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

    def _last_words(self, before: int) -> str:
        """The last line that a worker left in the log."""
        with self._settings.log.open("rb") as stream:
            stream.seek(before)
            lines = stream.read().decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1][:LAST_WORDS] if lines else "it left no word"


def work(pipe: Connection, settings: WorkerSettings) -> None:
    """What a worker process does: one job after another until its pipe is closed.

    An error that nobody foresaw ends the process with its traceback in the log; its supervisor records the failure.
    """
    _redirect(settings.log)
    device = prepare_machine(MachineSettings(device=settings.device, threads=settings.threads), seed=0)
    worker = Worker(device=device, networks=settings.networks)
    while (job := _next(pipe)) is not None:
        perform(job, worker)
        pipe.send(None)


def _alone(job: Job) -> bool:
    return isinstance(job.method, BaselineMethod) and job.method.alone


def _next(pipe: Connection) -> Job | None:
    try:
        job: Job = pipe.recv()
    except (EOFError, ConnectionResetError):
        return None
    return job


def _redirect(log: Path) -> None:
    """Send what this process and the libraries in it print to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(number, stream.fileno())
    os.close(number)
