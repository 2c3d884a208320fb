"""A complete comparison: dataset, methods, records, tables and figures."""

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
"""Name of the synthetic dataset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSettings:
    """Settings of a comparison.

    Attributes:
        workers: number of concurrent registrations, which share the cores.
        scheduler: address of a Dask cluster to run on instead, or empty.
        device: auto, cpu, cuda or cuda:N.
        threads: total CPU threads of all workers; 0 uses all cores.
        networks: folder of trained deformation networks; None for only the shipped one.
        limit_s: time limit per registration, s.
        retry_failed: repeat registrations that failed before.
        tables_only: only write tables and figures from existing records.
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
class BenchResult:
    """Result of a run.

    Attributes:
        reused: number of records of an earlier run that are still valid.
        new: number of new records.
        remaining: number of registrations still to do.
        failed: number of failed registrations, now or before.
        unavailable: methods that cannot run here, with reasons.
        files: tables, figures and the index page.
    """

    reused: int
    new: int
    remaining: int
    failed: int
    unavailable: dict[str, str]
    files: tuple[Path, ...] = field(default_factory=tuple)


def open_dataset(name: str, scans: Path | None, *, small: bool, on_progress: OnProgress | None = None) -> Dataset:
    """Opens a dataset folder, or the phantom.

    Args:
        name: folder with `manifest.csv` or with `dataset.json`, or `phantom`.
        scans: folder of the phantom's files, such as the folder of a run; None without one.
        small: use a small phantom instead of the paper's protocol.
        on_progress: progress callback, called for each synthetic subject.

    Raises:
        FileError: missing folder, or not a dataset.
        UsageError: `small` for another dataset, or the phantom without a folder for its scans.
    """
    if name == PHANTOM:
        if scans is None:
            raise UsageError(
                f"The dataset {PHANTOM} needs a folder for its scans; give --scans with the folder of the bench run "
                "that has them, or one in which to generate them."
            )
        protocol = SMALL if small else PAPER
        folder = scans / f"phantom-{protocol.subjects}x{protocol.spacing_mm:g}mm"
        return make_phantom_dataset(folder, protocol, on_progress=on_progress)
    if small:
        raise UsageError(f"--small applies only to the dataset {PHANTOM}, got {name}.")
    folder = Path(name)
    if (folder / "manifest.csv").is_file():
        return read_manifest(folder)
    if (folder / "dataset.json").is_file():
        return read_learn2reg(folder)
    raise FileError(f"{name}: is not a dataset; need a folder with manifest.csv or dataset.json, or {PHANTOM}.")


def run_benchmark(
    dataset: Dataset,
    methods: tuple[BenchMethod, ...],
    run: Path,
    *,
    settings: BenchSettings,
    on_progress: OnProgress | None = None,
) -> BenchResult:
    """Runs every method on every pair and writes tables, figures and an index page.

    It can be stopped at any time, even by `kill -9`, and resumed: records are written atomically, and a record
    is reused if its method, version, settings and files are unchanged.

    Args:
        dataset: labelled pairs.
        methods: to compare.
        run: folder of the run.
        settings: all other settings.
        on_progress: progress callback, called for each record.

    Raises:
        UsageError: a missing device, an invalid number, or tables of a run without records.
        MissingPackageError: figures need matplotlib.
        FileError: a damaged record, or a folder that is missing or cannot be written.
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
        raise UsageError(f"{run}: has no results of these methods and pairs; run without --tables-only first.")
    return BenchResult(
        reused=plan.kept,
        new=made,
        remaining=len(plan.jobs) - made,
        failed=sum(record.status == "failed" for record in records),
        unavailable={method.name: found.missing for method, found in described.items() if found.missing},
        files=write_results(dataset, records, run),
    )


def check(settings: BenchSettings) -> None:
    """Validates settings.

    Raises:
        UsageError: no workers or time, or both local workers and a cluster.
        FileError: the folder of networks is missing.
    """
    if settings.workers < 1 or settings.limit_s <= 0:
        raise UsageError(f"Got {settings.workers} workers and a limit of {settings.limit_s} s; need more than 0.")
    if settings.scheduler and settings.workers > 1:
        raise UsageError(
            f"Got {settings.workers} workers and the scheduler {settings.scheduler}; need one of --workers, for this "
            "computer, and --scheduler, whose cluster has its own."
        )
    if settings.networks is not None and not settings.networks.is_dir():
        raise FileError(
            f"{settings.networks}: is not a folder; need a folder of trained networks such as recipes/networks."
        )


def _describing_device(settings: BenchSettings) -> torch.device:
    """Device on which methods are described; on a cluster the CPU, because the workers' device may be missing."""
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
    """Runs the jobs with absolute paths, because workers may have other working directories."""
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
