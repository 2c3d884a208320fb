"""Whole cohorts in processes of their own: killed and gone on with, shared out, on a cluster."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from samereg.app.phantoms import PhantomSettings, write_phantoms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TIMES = {"reading_s", "registering_s", "writing_s"}
BYTES = ("moved.nii.gz", "matches.csv", "before.png", "after.png")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms, the fixed one first; and what is no scan, which has to stay one failing line."""
    place = tmp_path_factory.mktemp("phantom") / "scans"
    write_phantoms(
        place, settings=PhantomSettings(subjects=3, seed=100, spacing_mm=(4.0, 4.0, 4.0), shape=(96, 72, 104))
    )
    (place / "images" / "broken.nii.gz").write_bytes((place / "images" / "phantom-100-CE.nii.gz").read_bytes()[:9000])
    return place / "images"


def command(scans: Path, output: Path, *more: str) -> list[str]:
    words = ["--reference", str(scans / "phantom-100-CE.nii.gz"), "--data", str(scans), "-o", str(output)]
    return [sys.executable, "-m", "samereg.cli.main", "cohort", *words, "--preset", "affine", "--threads", "1", *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "src"}


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "out"
    done = subprocess.run(command(scans, output), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 10
    assert "broken" in done.stderr
    return output


def lines(output: Path) -> list[dict[str, str]]:
    with (output / "summary.csv").open(newline="") as stream:
        return [{name: cell for name, cell in row.items() if name not in TIMES} for row in csv.DictReader(stream)]


def contents(output: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes() for name in BYTES for path in output.glob(f"*__*/{name}")
    }


def test_killed_at_any_moment_it_goes_on_to_the_same_table(scans: Path, whole: Path, tmp_path: Path) -> None:
    kept: dict[Path, int] = {}
    for pause_s in (0.0, 1.0, 2.0):
        process = subprocess.Popen(command(scans, tmp_path, "-q"), env=environment(), start_new_session=True)
        deadline = time.monotonic() + 300.0
        while len(list(tmp_path.glob("*__*/pair.json"))) <= len(kept) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(pause_s)
        os.kill(process.pid, signal.SIGKILL)  # its worker has to notice by itself
        process.wait()
        now = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*__*/pair.json")}
        assert {path: now[path] for path in kept} == kept
        kept = now
    subprocess.run(command(scans, tmp_path, "-q"), env=environment(), check=False)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert lines(tmp_path) == lines(whole)
    assert contents(tmp_path) == contents(whole)
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.filterwarnings("ignore")  # Dask's own, on ports and clean-up
def test_a_cluster_of_two_processes_gives_the_same_bytes(scans: Path, whole: Path, tmp_path: Path) -> None:
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        words = command(scans, tmp_path / "out", "--scheduler", cluster.scheduler_address)
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    assert lines(tmp_path / "out") == lines(whole)
    assert contents(tmp_path / "out") == contents(whole)


def test_two_workers_give_the_same_bytes(scans: Path, whole: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(scans, tmp_path / "out", "--workers", "2"), env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 10
    assert lines(tmp_path / "out") == lines(whole)
    assert contents(tmp_path / "out") == contents(whole)
