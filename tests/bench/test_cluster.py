"""The same run on a Dask cluster as on one computer."""

import pytest

from samereg.bench.benchmark import BenchSettings, run_benchmark
from samereg.bench.methods import find_methods
from samereg.bench.record import read_records
from samereg.errors import FileError


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, on ports and clean-up
def test_a_cluster_gives_the_scores_of_one_computer(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    methods = find_methods(("identity", "centre-of-mass"))
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        there = BenchSettings(device="cpu", threads=1, scheduler=cluster.scheduler_address)
        run_benchmark(small_dataset, methods, tmp_path / "there", settings=there)
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
