"""Carries out jobs on this computer or on a Dask cluster; yields each when it is done."""

import multiprocessing
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TypeVar

import torch

from samereg.app.supervised import Job, SupervisedWorker, WorkerSettings
from samereg.errors import FileError, UsageError
from samereg.optional import optional_package

AnyJob = TypeVar("AnyJob", bound=Job)

_IDLE: dict[WorkerSettings, "SimpleQueue[SupervisedWorker]"] = {}
"""Idle processes of this Dask worker, by settings, so that runs on one cluster share nothing."""

_IDLE_LOCK = Lock()
_NUMBERS = count()


def run_here(jobs: Sequence[AnyJob], settings: WorkerSettings, *, workers: int) -> Iterator[tuple[AnyJob, str | None]]:
    """Runs jobs in processes of this computer.

    Args:
        jobs: to run.
        settings: of the workers; the number of a worker is added to the name of its log.
        workers: number of concurrent workers.

    Yields:
        Each job when it is done, with why it failed if it did, in the order in which they end.
    """
    logs = [settings.log.with_stem(f"{settings.log.stem}-{number}") for number in range(workers)]
    supervised = [SupervisedWorker(replace(settings, log=log)) for log in logs]
    idle: SimpleQueue[SupervisedWorker] = SimpleQueue()
    for each in supervised:
        idle.put(each)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            futures = {pool.submit(_do_in_idle, idle, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for each in supervised:
                each.abort()


def run_on_cluster(
    jobs: Sequence[AnyJob], settings: WorkerSettings, *, scheduler: str
) -> Iterator[tuple[AnyJob, str | None]]:
    """Runs jobs on the workers of a Dask cluster with a shared file system.

    Args:
        jobs: to run.
        settings: of each worker.
        scheduler: address, such as `tcp://host:8786`.

    Yields:
        Each job when it is done, with why it failed if it did.

    Raises:
        MissingPackageError: Dask is not installed.
        FileError: no scheduler at the address.
    """
    distributed = optional_package("distributed", purpose="a run on a Dask cluster")
    try:
        client = distributed.Client(scheduler)
    except (OSError, TimeoutError) as error:
        raise FileError(f"{scheduler}: no Dask scheduler answers there ({error}).") from error
    with client:
        absolute = [job.absolute() for job in jobs]
        futures = client.map(_do_on_cluster, absolute, settings=settings, pure=False, retries=1)
        by_key = {future.key: job for future, job in zip(futures, jobs, strict=True)}
        for future in distributed.as_completed(futures):
            yield by_key[future.key], future.result()
        client.run(_end_idle, settings)


def _do_in_idle(idle: "SimpleQueue[SupervisedWorker]", job: Job) -> str | None:
    """Runs a job in an idle worker."""
    worker = idle.get()
    try:
        return worker.run(job)
    finally:
        idle.put(worker)


def _do_on_cluster(job: Job, settings: WorkerSettings) -> str | None:
    """Runs a job in a process not used by other threads of this Dask worker."""
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "Dask's workers are not allowed to start processes, which a time limit needs; start them with "
            "'dask worker --no-nanny', or set distributed.worker.daemon to false"
        )
    idle = _idle_on_cluster(settings)
    try:
        worker = idle.get_nowait()
    except Empty:
        worker = SupervisedWorker(_settings_here(settings))
    try:
        return worker.run(job)
    finally:
        idle.put(worker)


def _idle_on_cluster(settings: WorkerSettings) -> "SimpleQueue[SupervisedWorker]":
    """Idle processes of this Dask worker."""
    with _IDLE_LOCK:
        return _IDLE.setdefault(settings, SimpleQueue())


def _settings_here(settings: WorkerSettings) -> WorkerSettings:
    """Settings with a separate log, and this computer's threads divided among Dask's."""
    import distributed  # noqa: PLC0415 - optional

    side_by_side = distributed.get_worker().state.nthreads
    threads = settings.threads or torch.get_num_threads()
    log = settings.log.with_stem(f"{settings.log.stem}-{platform.node()}-{os.getpid()}-{next(_NUMBERS)}")
    return replace(settings, threads=max(1, threads // side_by_side), log=log)


def _end_idle(settings: WorkerSettings) -> None:
    """Ends the processes of this Dask worker, which frees their memory."""
    with _IDLE_LOCK:
        idle = _IDLE.pop(settings, SimpleQueue())
    while not idle.empty():
        idle.get_nowait().close()
