"""A whole comparison: dataset, methods, records, tables and figures."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from samereg.app.distribution import run_here, run_on_cluster
from samereg.app.machine import choose_device
from samereg.app.progress import OnProgress
from samereg.app.supervised import WorkerSettings
from samereg.bench.dataset import Dataset
from samereg.bench.job import Job, describe
from samereg.bench.methods import BenchMethod
from samereg.bench.phantom_dataset import PAPER, SMALL, make_phantom_dataset
from samereg.bench.pictures import require_matplotlib
from samereg.bench.plan import Plan, make_plan
from samereg.bench.read_learn2reg import read_learn2reg
from samereg.bench.read_manifest import read_manifest
from samereg.bench.record import write_record
from samereg.bench.results import write_results
from samereg.bench.worker import OpenBenchWorker, Worker
from samereg.errors import FileError, UsageError
from samereg.io.atomic import require_writable

PHANTOM = "phantom"
"""Name of the dataset that is made on the spot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSettings:
    """How a comparison is run.

    Attributes:
        workers: registrations at a time; processor cores are shared out among them.
        scheduler: address of a Dask cluster to run on instead, or empty.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads of all workers together; 0 takes as many as there are cores.
        networks: folder of trained deformation networks, or None for the shipped one alone.
        limit_s: a registration that takes longer has failed.
        retry_failed: try again what failed before.
        tables_only: register nothing; write tables and figures from the records that are there.
    """

    workers: int = 1
    scheduler: str = ""
    device: str = "auto"
    threads: int = 0
    networks: Path | None = None
    limit_s: float = 1800.0
    retry_failed: bool = False
    tables_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What a run did.

    Attributes:
        kept: records of an earlier run that still hold.
        made: records made now.
        left: registrations that are still to be made.
        failed: registrations that failed, now or before.
        unavailable: methods that cannot run here, with the reason.
        files: tables, figures and the index page.
    """

    kept: int
    made: int
    left: int
    failed: int
    unavailable: dict[str, str]
    files: tuple[Path, ...] = field(default_factory=tuple)


def open_dataset(name: str, scans: Path | None, *, small: bool, on_progress: OnProgress | None = None) -> Dataset:
    """A dataset by folder, or the phantom.

    Args:
        name: folder with `manifest.csv` or with `dataset.json`, or `phantom`.
        scans: folder that the phantom's files go into or are found in, as the folder of a run; None without one.
        small: a phantom for minutes instead of the paper's protocol.
        on_progress: told about each synthetic subject.

    Raises:
        FileError: no such folder, or nothing known in it.
        UsageError: `small` for a dataset that is not the phantom, or the phantom without a folder for its scans.
    """
    if name == PHANTOM:
        if scans is None:
            raise UsageError(
                f"The dataset {PHANTOM} needs a place for its scans; name with --scans the folder of the bench run "
                "that has them, or one to make them in."
            )
        protocol = SMALL if small else PAPER
        folder = scans / f"phantom-{protocol.subjects}x{protocol.spacing_mm:g}mm"
        return make_phantom_dataset(folder, protocol, on_progress=on_progress)
    if small:
        raise UsageError(f"--small makes a smaller phantom; the dataset {name} is as large as it is.")
    folder = Path(name)
    if (folder / "manifest.csv").is_file():
        return read_manifest(folder)
    if (folder / "dataset.json").is_file():
        return read_learn2reg(folder)
    raise FileError(f"{name}: is no dataset; need a folder with manifest.csv or dataset.json, or the word {PHANTOM}.")


def run_benchmark(
    dataset: Dataset,
    methods: tuple[BenchMethod, ...],
    run: Path,
    *,
    settings: BenchSettings,
    on_progress: OnProgress | None = None,
) -> Tally:
    """Run every method on every pair and write tables, figures and an index page.

    Stopped at any moment, even by `kill -9`, it goes on where it was: a record is written whole or not at all, and one
    whose method, version, settings and files are still the same is kept.

    Args:
        dataset: labelled pairs.
        methods: what to compare.
        run: folder of the run.
        settings: everything else.
        on_progress: told about each record.

    Raises:
        UsageError: a device that does not exist, an impossible number, or tables of a run without records.
        MissingPackageError: figures need matplotlib.
        FileError: an earlier record that is damaged, a folder that is not there or cannot be written.
    """
    check(settings)
    require_matplotlib()
    require_writable(run)
    device = _describing_device(settings)
    worker = Worker(device=device, networks=settings.networks)
    described = {method: describe(method, worker) for method in methods}
    plan = make_plan(dataset, described, run, retry_failed=settings.retry_failed)
    made = 0
    if not settings.tables_only:
        for made, job in enumerate(_carry_out(plan, run, settings, str(device)), start=1):
            if on_progress is not None:
                on_progress(f"{job.method.name} {job.case.name}", made, len(plan.jobs))
    records = plan.kept_records() if settings.tables_only else plan.all_records()
    if settings.tables_only and all(record.status == "unavailable" for record in records):
        raise UsageError(f"{run}: holds no results of these methods and pairs; need a run without --tables-only first.")
    return Tally(
        kept=plan.kept,
        made=made,
        left=len(plan.jobs) - made,
        failed=sum(record.status == "failed" for record in records),
        unavailable={method.name: found.missing for method, found in described.items() if found.missing},
        files=write_results(dataset, records, run),
    )


def check(settings: BenchSettings) -> None:
    """Refuse impossible settings.

    Raises:
        UsageError: no workers, or no time; workers of this computer besides those of a cluster.
        FileError: no folder of networks under that name.
    """
    if settings.workers < 1 or settings.limit_s <= 0:
        raise UsageError(f"Got {settings.workers} workers and a limit of {settings.limit_s} s; need more than 0.")
    if settings.scheduler and settings.workers > 1:
        raise UsageError(
            f"Got {settings.workers} workers and the scheduler {settings.scheduler}; need one of --workers, for this "
            "computer, and --scheduler, whose cluster has its own."
        )
    if settings.networks is not None and not settings.networks.is_dir():
        raise FileError(f"{settings.networks}: is no folder; need one of trained networks, as recipes/networks.")


def _describing_device(settings: BenchSettings) -> torch.device:
    """Where methods are described: on a cluster the workers have the device, which this computer may lack."""
    if settings.scheduler and settings.device.startswith("cuda"):
        return torch.device("cpu")
    return choose_device(settings.device)


def _carry_out(plan: Plan, run: Path, settings: BenchSettings, device: str) -> Iterator[Job]:
    """Every job once its record is there; one whose process was ended or ended by itself gets it here."""
    for job, reason in _done(plan, run, settings, device):
        if reason is not None:
            write_record(job.record("failed", reason), job.path)
        yield job


def _done(plan: Plan, run: Path, settings: BenchSettings, device: str) -> Iterator[tuple[Job, str | None]]:
    """Paths are absolute, because workers may have been started in another folder."""
    worker = WorkerSettings(
        open=OpenBenchWorker(networks=settings.networks.absolute() if settings.networks is not None else None),
        device=device,
        threads=max(1, (settings.threads or torch.get_num_threads()) // settings.workers),
        limit_s=settings.limit_s,
        log=run.absolute() / "logs" / "worker.txt",
    )
    if settings.scheduler:
        there = replace(worker, device=settings.device, threads=settings.threads)
        return run_on_cluster(plan.jobs, there, scheduler=settings.scheduler)
    return run_here(plan.jobs, worker, workers=settings.workers)
