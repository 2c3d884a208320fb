"""Carries out jobs on this computer or on a Dask cluster; yields each when its record is written."""

import multiprocessing
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

import torch

from samereg.bench.job import Job
from samereg.bench.supervise import Supervised, WorkerSettings
from samereg.errors import FileError, UsageError
from samereg.optional import optional_package

_IDLE: dict[WorkerSettings, "SimpleQueue[Supervised]"] = {}
"""Of this Dask worker; by settings, so that runs on one cluster share nothing."""

_IDLE_LOCK = Lock()
_NUMBERS = count()


def run_here(jobs: Sequence[Job], settings: WorkerSettings, *, workers: int) -> Iterator[Job]:
    """Do jobs in processes of this computer.

    Args:
        jobs: to do.
        settings: of each worker; its number is added to the name of the log.
        workers: how many at a time.

    Yields:
        Each job when its record is written, in the order in which they end.
    """
    logs = [settings.log.with_stem(f"{settings.log.stem}-{number}") for number in range(workers)]
    supervised = [Supervised(replace(settings, log=log)) for log in logs]
    idle: SimpleQueue[Supervised] = SimpleQueue()
    for each in supervised:
        idle.put(each)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            futures = {pool.submit(_do_in_idle, idle, job): job for job in jobs}
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for each in supervised:
                each.abort()


def run_on_cluster(jobs: Sequence[Job], settings: WorkerSettings, *, scheduler: str) -> Iterator[Job]:
    """Do jobs on the workers of a Dask cluster, which see the same files under the same names.

    Args:
        jobs: to do.
        settings: of each worker.
        scheduler: address, as `tcp://host:8786`.

    Yields:
        Each job when its record is written.

    Raises:
        MissingPackageError: Dask is not installed.
        FileError: nobody answers at the address.
    """
    distributed = optional_package("distributed", purpose="a run on a Dask cluster")
    try:
        client = distributed.Client(scheduler)
    except (OSError, TimeoutError) as error:
        raise FileError(f"{scheduler}: no Dask scheduler answers there ({error}).") from error
    with client:
        absolute = [_absolute(job) for job in jobs]
        futures = client.map(_do_on_cluster, absolute, settings=settings, pure=False, retries=1)
        by_key = {future.key: job for future, job in zip(futures, jobs, strict=True)}
        for future in distributed.as_completed(futures):
            future.result()
            yield by_key[future.key]
        client.run(_end_idle, settings)


def _do_in_idle(idle: "SimpleQueue[Supervised]", job: Job) -> None:
    """Do a job in a worker that has none."""
    worker = idle.get()
    try:
        worker.run(job)
    finally:
        idle.put(worker)


def _do_on_cluster(job: Job, settings: WorkerSettings) -> None:
    """Do a job in a process that no other thread of this Dask worker speaks to meanwhile."""
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "Dask's workers may not start processes here, which a time limit needs; start them with "
            "'dask worker --no-nanny', or set distributed.worker.daemon to false"
        )
    idle = _idle_on_cluster(settings)
    try:
        worker = idle.get_nowait()
    except Empty:
        worker = Supervised(_settings_here(settings))
    try:
        worker.run(job)
    finally:
        idle.put(worker)


def _idle_on_cluster(settings: WorkerSettings) -> "SimpleQueue[Supervised]":
    """Processes of this Dask worker that have no job."""
    with _IDLE_LOCK:
        return _IDLE.setdefault(settings, SimpleQueue())


def _settings_here(settings: WorkerSettings) -> WorkerSettings:
    """The settings with a log of its own, and with this computer's threads shared out among Dask's."""
    import distributed  # noqa: PLC0415 - optional

    side_by_side = distributed.get_worker().state.nthreads
    threads = settings.threads or torch.get_num_threads()
    log = settings.log.with_stem(f"{settings.log.stem}-{platform.node()}-{os.getpid()}-{next(_NUMBERS)}")
    return replace(settings, threads=max(1, threads // side_by_side), log=log)


def _end_idle(settings: WorkerSettings) -> None:
    """End the processes of this Dask worker: networks and scans leave its memory with them."""
    with _IDLE_LOCK:
        idle = _IDLE.pop(settings, SimpleQueue())
    while not idle.empty():
        idle.get_nowait().close()


def _absolute(job: Job) -> Job:
    """The job with paths that mean the same wherever a worker was started."""

    def whole(path: Path | None) -> Path | None:
        return path.absolute() if path is not None else None

    scans = [
        replace(scan, image=scan.image.absolute(), labels=whole(scan.labels), landmarks=whole(scan.landmarks))
        for scan in (job.case.fixed, job.case.moving)
    ]
    return replace(job, run=job.run.absolute(), case=replace(job.case, fixed=scans[0], moving=scans[1]))
