"""Registers many pairs, on this computer or on a cluster; stopped at any moment, it goes on where it was."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.app.distribution import run_here, run_on_cluster
from samereg.app.machine import choose_device
from samereg.app.pairs.folders import move_into_place, staged_folder, tidy
from samereg.app.pairs.job import Finish, PairJob
from samereg.app.pairs.pair import ScanPair
from samereg.app.pairs.plan import PairsPlan, make_plan
from samereg.app.pairs.record import PAIR_RECORD, PairRecord, read_pair_record
from samereg.app.pairs.worker import OpenPairWorker
from samereg.app.progress import OnProgress
from samereg.app.record import write_json
from samereg.app.settings import PairsSettings
from samereg.app.supervised import WorkerSettings
from samereg.errors import FileError
from samereg.io.atomic import claimed_directory

_LOG = logging.getLogger(__name__)

STORE, LOGS = "store", "logs"

PUBLISHED_EVERY_S = 30.0
"""How often the table and the page are written anew while pairs are being registered."""

Publish = Callable[[Sequence[PairRecord], int], None]
"""Writes what there is so far: records in the order of the pairs, and how many pairs there are in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsTally:
    """What a run did.

    Attributes:
        kept: pairs of an earlier run that still hold.
        made: pairs registered now, failed ones included.
        records: of all pairs, in the order in which they were given.
    """

    kept: int
    made: int
    records: tuple[PairRecord, ...]

    @property
    def failed(self) -> tuple[PairRecord, ...]:
        """Pairs without a registration, or with one whose verdict is failed."""
        return tuple(each for each in self.records if each.status == "failed" or each.verdict == "failed")


def run_pairs(
    pairs: Sequence[ScanPair],
    output: Path,
    *,
    settings: PairsSettings,
    finish: Finish,
    publish: Publish,
    on_progress: OnProgress | None = None,
) -> PairsTally:
    """Register every pair into its run folder.

    A run folder is moved into place when it is complete. Run again, it registers what is missing, and what other
    settings, networks or inputs would change. A pair that cannot be registered gets a record with the reason.

    Args:
        pairs: which scans.
        output: folder to make or to go on in.
        settings: everything else.
        finish: makes what else belongs into each run folder; a frozen dataclass.
        publish: writes what there is so far, at the end and every half minute.
        on_progress: told about each pair.

    Raises:
        UsageError: another run is at work in the folder, or a device that does not exist.
        WeightsError: a network is missing or damaged.
        FileError: the folder cannot be written, or holds something else where a run folder is to be.
    """
    if not settings.scheduler:
        choose_device(settings.registration.machine.device)
    with claimed_directory(output):
        tidy(output)
        plan = make_plan(pairs, output, settings=settings, finish=finish)
        records = {each.name: each for each in plan.kept}
        published = began = time.monotonic()
        for made, (job, reason) in enumerate(_carry_out(plan, output, settings), start=1):
            records[job.pair.name] = _recorded(job, reason)
            if on_progress is not None:
                on_progress(job.pair.name, made, len(plan.jobs))
            left_s = (time.monotonic() - began) / made * (len(plan.jobs) - made)
            _LOG.info("%d of %d pairs, about %s left: %s", made, len(plan.jobs), duration(left_s), job.pair.name)
            if time.monotonic() - published > PUBLISHED_EVERY_S:
                publish(_in_order(records, plan), len(plan.order))
                published = time.monotonic()
        publish(_in_order(records, plan), len(plan.order))
    return PairsTally(kept=len(plan.kept), made=len(plan.jobs), records=_in_order(records, plan))


def duration(seconds: float) -> str:
    """A time in the two largest units that fit, as `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _in_order(records: dict[str, PairRecord], plan: PairsPlan) -> tuple[PairRecord, ...]:
    return tuple(records[name] for name in plan.order if name in records)


def _recorded(job: PairJob, reason: str | None) -> PairRecord:
    """Record of a pair that was worked on; one that failed gets its record here, where no worker can be killed."""
    if reason is None:
        record = read_pair_record(job.folder)
        if record is None:
            raise FileError(
                f"{job.folder / PAIR_RECORD}: is missing; do the workers see the same files as this computer?"
            )
        return record
    record = job.failed(reason)
    with staged_folder(job.output) as folder:
        write_json(record, folder / PAIR_RECORD)
        move_into_place(folder, job.folder)
    return record


def _carry_out(plan: PairsPlan, output: Path, settings: PairsSettings) -> Iterator[tuple[PairJob, str | None]]:
    """Paths are absolute, because workers may have been started in another folder."""
    machine, whole = settings.registration.machine, output.absolute()
    here = not settings.scheduler
    worker = WorkerSettings(
        open=OpenPairWorker(
            embedding=settings.registration.embedding,
            store=whole / STORE if settings.store_gb > 0 else None,
            store_gb=settings.store_gb,
        ),
        device=machine.device,
        threads=max(1, (machine.threads or torch.get_num_threads()) // settings.workers) if here else machine.threads,
        limit_s=settings.time_limit,
        log=whole / LOGS / "worker.txt",
    )
    if not plan.jobs:
        return iter(())
    if here:
        return run_here(plan.jobs, worker, workers=min(settings.workers, len(plan.jobs)))
    return run_on_cluster(plan.jobs, worker, scheduler=settings.scheduler)
