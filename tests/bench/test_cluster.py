"""The same run on a Dask cluster as on one computer."""

import threading
from pathlib import Path

import pytest

from samereg.app import distribution as runner
from samereg.app.supervised import WorkerSettings
from samereg.bench import benchmark
from samereg.bench.benchmark import BenchSettings, run_benchmark
from samereg.bench.job import Description, Job
from samereg.bench.methods import find_methods
from samereg.bench.record import read_records
from samereg.bench.worker import OpenBenchWorker
from samereg.errors import FileError, UsageError


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, on ports and clean-up
def test_a_cluster_gives_the_scores_of_one_computer(small_dataset, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    methods = find_methods(("identity", "centre-of-mass"))
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=3, dashboard_address=None) as cluster,
    ):
        # The workers were started elsewhere: what is relative here is not there.
        (tmp_path / "networks").mkdir()
        monkeypatch.chdir(tmp_path)
        there = BenchSettings(threads=1, scheduler=cluster.scheduler_address, networks=Path("networks"))
        run_benchmark(small_dataset, methods, Path("there"), settings=there)
    run_benchmark(small_dataset, methods, tmp_path / "here", settings=BenchSettings(device="cpu", threads=1))
    here, there = (
        {(r.method, r.task, r.fixed, r.moving): (r.status, r.scores) for r in read_records(tmp_path / name)}
        for name in ("here", "there")
    )
    assert here == there


@pytest.mark.filterwarnings("ignore")
def test_an_address_where_nobody_answers_is_named(small_dataset, tmp_path):
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    assert distributed
    settings = BenchSettings(device="cpu", threads=1, scheduler="tcp://127.0.0.1:9")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(FileError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler"),
    ):
        run_benchmark(small_dataset, find_methods(("identity",)), tmp_path, settings=settings)


class Watched:
    """A worker that notes whether two threads speak to it at once."""

    made: list["Watched"]
    clashes: list[int]
    together: threading.Barrier

    def __init__(self, settings):
        self.settings, self.busy = settings, threading.Lock()
        Watched.made.append(self)

    def run(self, job):
        if not self.busy.acquire(blocking=False):
            Watched.clashes.append(job)
            return
        Watched.together.wait(timeout=30)
        self.busy.release()


def test_threads_of_one_dask_worker_never_share_a_process(small_dataset, tmp_path, monkeypatch):
    (method,) = find_methods(("identity",))
    case, described = small_dataset.cases[0], Description()
    job = Job(method=method, described=described, case=case, dataset=small_dataset, run=tmp_path, key="")
    Watched.made, Watched.clashes, Watched.together = [], [], threading.Barrier(4)
    monkeypatch.setattr(runner, "SupervisedWorker", Watched)
    monkeypatch.setattr(runner, "_settings_here", lambda settings: settings)
    settings = WorkerSettings(open=OpenBenchWorker(networks=None), device="auto", threads=0)
    for _ in range(3):
        threads = [threading.Thread(target=runner._do_on_cluster, args=(job, settings)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert Watched.clashes == []
    assert len(Watched.made) == 4
    assert runner._IDLE.pop(settings).qsize() == 4


def test_workers_of_one_dask_worker_share_its_threads_and_no_log(monkeypatch):
    distributed = pytest.importorskip("distributed")

    class Worker:
        class state:  # noqa: N801 - as Dask calls it
            nthreads = 2

    monkeypatch.setattr(distributed, "get_worker", Worker)
    monkeypatch.setattr(runner.torch, "get_num_threads", lambda: 8)
    settings = WorkerSettings(open=OpenBenchWorker(networks=None), threads=0, log=Path("/run/logs/worker.txt"))
    first, second = (runner._settings_here(settings) for _ in range(2))
    assert (first.threads, second.threads) == (4, 4)
    assert first.log != second.log
    assert {first.log.parent, second.log.parent} == {Path("/run/logs")}


def test_a_cluster_is_told_whole_paths_and_finds_its_own_device(small_dataset, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    told = []

    def note(_jobs, settings, *, scheduler):
        told.append(settings)
        assert scheduler == "tcp://host:8786"
        return iter(())

    (tmp_path / "networks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "run_on_cluster", note)
    monkeypatch.setattr(benchmark, "write_results", lambda *_args: ())
    monkeypatch.setattr(benchmark.Plan, "all_records", lambda _plan: [])
    for device in ("auto", "cuda", "cuda:7"):
        settings = BenchSettings(device=device, scheduler="tcp://host:8786", networks=Path("networks"))
        run_benchmark(small_dataset, find_methods(("identity",)), Path("run"), settings=settings)
        assert (told[-1].device, told[-1].threads) == (device, 0)
        assert told[-1].open.networks == tmp_path / "networks"
        assert told[-1].log == tmp_path / "run" / "logs" / "worker.txt"
    with pytest.raises(UsageError, match=r"--workers.*--scheduler"):
        benchmark.check(BenchSettings(workers=2, scheduler="tcp://host:8786"))
