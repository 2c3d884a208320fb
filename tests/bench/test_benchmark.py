"""The whole way on small bodies with methods that take no time: records, resumption, tables, figures."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from samereg.bench.benchmark import BenchSettings, open_dataset, run_benchmark
from samereg.bench.methods import METHODS, TABLE_1, TABLE_2, find_methods
from samereg.bench.record import read_records, record_path
from samereg.errors import FileError, UsageError

SETTINGS = BenchSettings(device="cpu", threads=1)
EASY = find_methods(("identity", "centre-of-mass"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_dataset):
    pytest.importorskip("matplotlib")
    run = tmp_path_factory.mktemp("run")
    return run, run_benchmark(small_dataset, EASY, run, settings=SETTINGS)


def test_every_method_has_a_record_for_every_pair(finished, small_dataset):
    run, result = finished
    assert (result.new, result.reused, result.failed) == (12, 0, 0)
    records = read_records(run)
    assert {(r.method, f"{r.fixed}__{r.moving}") for r in records} == {
        (method.name, case.name) for method in EASY for case in small_dataset.cases
    }
    for record in records:
        assert record.status == "done"
        assert record.timing.compute >= 0.0
        assert (run / "transforms" / record.method / record.task / f"{record.fixed}__{record.moving}").is_dir()


def test_the_centre_of_mass_finds_the_shift_that_the_bodies_were_given(finished):
    run, _ = finished
    for record in read_records(run):
        if record.method == "centre-of-mass":
            # The noise of the scan, cut at the body's edge, moves the centre by a small part of a 5 mm voxel.
            assert record.scores.landmarks.max_mm < 0.5
            assert record.scores.dice > 0.98


def test_tables_figures_and_index_are_written_and_every_link_leads_somewhere(finished):
    run, result = finished
    names = {path.relative_to(run).as_posix() for path in result.files}
    for name in ("table-1", "table-2", "scores", "statistics", "groups", "dice-by-pair"):
        assert {f"tables/{name}{suffix}" for suffix in (".md", ".tex", ".csv")} <= names
    assert {"index.html", "figures/figure-3.png", "figures/figure-3.svg", "figures/dice-against-time.png"} <= names
    page = (run / "index.html").read_text()
    links = {part.split('"')[0] for part in page.split('href="')[1:]}
    anchors = {part.split('"')[0] for part in page.split('id="')[1:]}
    for link in links:
        assert (link[1:] in anchors) if link.startswith("#") else (run / link).is_file(), link


def test_every_row_of_the_papers_tables_is_there_and_says_why_it_is_empty(finished):
    run, _ = finished
    titles = {method.name: method.title for method in METHODS}
    first, second = ((run / "tables" / f"table-{n}.md").read_text() for n in (1, 2))
    for name in TABLE_1:
        assert f"| {titles[name]} |" in first
    assert second.count("not run") == 2 * len(TABLE_2)


def test_every_pair_has_a_row_and_every_method_a_column(finished, small_dataset):
    run, _ = finished
    header, _, *rows = (run / "tables" / "dice-by-pair.md").read_text().splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows if row.startswith("|")]
    assert header.strip("| ").split(" | ") == ["fixed <- moving", *(method.name for method in EASY)]
    assert [row[0] for row in cells] == [
        f"{case.task}: {case.fixed.name} <- {case.moving.name}" for case in small_dataset.cases
    ]
    dice = {(r.method, f"{r.task}: {r.fixed} <- {r.moving}"): 100 * r.scores.dice for r in read_records(run)}
    for pair, *entries in cells:
        for method, entry in zip(EASY, entries, strict=True):
            assert entry.startswith(f"[{dice[method.name, pair]:.1f}](../cases/{method.name}/")


def test_tables_of_a_run_that_still_goes_on_say_how_many_pairs_they_rest_on(small_dataset, tmp_path):
    only_tables = replace(SETTINGS, tables_only=True)
    with pytest.raises(UsageError, match="has no results"):
        run_benchmark(small_dataset, EASY, tmp_path, settings=only_tables)
    run_benchmark(small_dataset, EASY, tmp_path, settings=SETTINGS)
    gone = next((tmp_path / "cases" / "centre-of-mass").rglob("*.json"))
    gone.unlink()
    result = run_benchmark(small_dataset, EASY, tmp_path, settings=only_tables)
    assert (result.new, result.reused, result.remaining) == (0, 11, 1)
    assert not gone.exists()
    pairs = sum(case.task == gone.parent.name for case in small_dataset.cases)
    row = next(r for r in (tmp_path / "tables" / "table-1.md").read_text().splitlines() if "centre of mass" in r)
    assert row.count(f"({pairs - 1} of {pairs} pairs)") == 1


def test_a_second_run_makes_nothing_anew(finished, small_dataset):
    run, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (run / "cases").rglob("*.json")}
    result = run_benchmark(small_dataset, EASY, run, settings=SETTINGS)
    assert (result.new, result.reused) == (0, 12)
    assert {path: path.stat().st_mtime_ns for path in (run / "cases").rglob("*.json")} == before


def test_a_record_of_other_settings_is_made_anew(finished, small_dataset):
    run, _ = finished
    path = record_path(run, "identity", "near", "one__two")
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "key": "of an older version"}))
    assert run_benchmark(small_dataset, EASY, run, settings=SETTINGS).new == 1
    assert json.loads(path.read_text())["key"] == plain["key"]


def test_a_damaged_record_is_named(small_dataset, tmp_path):
    path = record_path(tmp_path, "identity", "near", "one__two")
    path.parent.mkdir(parents=True)
    path.write_text('{"method": "identity"')
    with pytest.raises(FileError, match=r"one__two\.json: is not a record"):
        run_benchmark(small_dataset, EASY, tmp_path, settings=SETTINGS)


def test_a_refused_pair_is_a_failure_with_its_sentence(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    case = small_dataset.cases[0]
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(case.moving.image.read_bytes()[:5000])
    bad = replace(small_dataset, cases=(replace(case, moving=replace(case.moving, image=broken)),))
    result = run_benchmark(bad, find_methods(("centre-of-mass",)), tmp_path / "run", settings=SETTINGS)
    (record,) = read_records(tmp_path / "run")
    assert (result.failed, record.status) == (1, "failed")
    assert "broken.nii.gz" in record.reason
    assert "failed on all 1" in (tmp_path / "run" / "tables" / "table-1.md").read_text()


def test_a_registration_that_takes_too_long_has_failed(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    one = replace(small_dataset, cases=small_dataset.cases[:1])
    hurried = replace(SETTINGS, limit_s=1e-3)
    run_benchmark(one, find_methods(("centre-of-mass",)), tmp_path, settings=hurried)
    (record,) = read_records(tmp_path)
    assert (record.status, record.reason) == ("failed", "took longer than 0.001 s")
    again = run_benchmark(one, find_methods(("centre-of-mass",)), tmp_path, settings=SETTINGS)
    assert (again.new, again.failed) == (0, 1)
    retried = run_benchmark(
        one, find_methods(("centre-of-mass",)), tmp_path, settings=replace(SETTINGS, retry_failed=True)
    )
    assert (retried.new, retried.failed) == (1, 0)


def test_a_network_that_is_not_there_is_said_to_be_missing(small_dataset, tmp_path):
    pytest.importorskip("matplotlib")
    one = replace(small_dataset, cases=small_dataset.cases[:1])
    result = run_benchmark(one, find_methods(("sa+vm",)), tmp_path, settings=SETTINGS)
    assert (result.new, list(result.unavailable)) == (0, ["sa+vm"])
    assert "network not trained" in (tmp_path / "tables" / "table-1.md").read_text()


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_table(finished, small_folder, tmp_path):
    """Bar of the comparison: `kill -9` loses no record and repeats none."""
    whole, _ = finished
    command = [sys.executable, "-m", "samereg.cli.main", "bench", "--dataset", str(small_folder), "-o", str(tmp_path)]
    command += ["--methods", "identity", "centre-of-mass", "--device", "cpu", "--threads", "1", "-q"]
    kept: dict[str, int] = {}
    for _ in range(3):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "src"}, start_new_session=True)
        known = len(kept)
        deadline = time.monotonic() + 120.0
        while len(list((tmp_path / "cases").rglob("*__*.json"))) <= known and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = {str(path): path.stat().st_mtime_ns for path in (tmp_path / "cases").rglob("[!.]*.json")}
        assert {path: now[path] for path in kept} == kept
        kept = now
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": "src"})
    found, expected = (
        {(r.method, r.task, r.fixed, r.moving): (r.status, r.scores) for r in read_records(run)}
        for run in (tmp_path, whole)
    )
    assert found == expected


def test_datasets_and_numbers_that_cannot_be_are_refused(small_dataset, tmp_path):
    with pytest.raises(FileError, match=r"need a folder with manifest\.csv"):
        open_dataset(str(tmp_path), tmp_path, small=False)
    with pytest.raises(UsageError, match="--small applies only to the dataset phantom"):
        open_dataset(str(tmp_path), tmp_path, small=True)
    with pytest.raises(UsageError, match="0 workers"):
        run_benchmark(small_dataset, EASY, tmp_path, settings=replace(SETTINGS, workers=0))
    with pytest.raises(UsageError, match="'deds'"):
        find_methods(("deds",))
