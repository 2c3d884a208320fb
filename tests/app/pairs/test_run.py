"""Many pairs in this process, with registrations that are known: run folders, resumption, failures, the table."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from app.test_registration import known_answer
from known_session import use_known_session
from samereg.app.pairs import run, worker
from samereg.app.pairs.pair import Scan, ScanPair
from samereg.app.pairs.plan import make_plan
from samereg.app.pairs.record import PAIR_RECORD, PairRecord, read_pair_record
from samereg.app.pairs.run import PairsTally, duration, run_pairs
from samereg.app.pairs.summary import TIMES, write_summary
from samereg.app.pairs.worker import OpenPairWorker, PairWorker
from samereg.app.session import Session
from samereg.app.settings import PairsSettings, RegisterSettings
from samereg.errors import FileError, NoOverlapError, UsageError
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, write_labels, write_volume
from samereg.pipeline.register import Registration

# Known sessions have no embeddings that could be stored.
SETTINGS = PairsSettings(registration=RegisterSettings(preset="fast"), store_gb=0.0)


@dataclass(frozen=True)
class NothingMore:
    """Adds nothing to a run folder."""

    edition: int = 1

    def __call__(self, _found: object, _pair: ScanPair, folder: Path) -> None:
        assert folder.is_dir()


def run_in_this_process(jobs: Sequence, settings, *, workers: int) -> Iterator:
    """Stands for `run_here`: a worker of this process, with every registration known."""
    assert workers >= 1
    here = settings.open(torch.device("cpu"))
    for job in jobs:
        yield job, job.perform(here)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Registration]], None]:
    def use(function: Callable[[], Registration]) -> None:
        use_known_session(monkeypatch, function)

    use(known_answer)
    monkeypatch.setattr(run, "run_here", run_in_this_process)
    return use


@pytest.fixture
def pairs(small_ct: Volume, small_labels: LabelMap, tmp_path: Path) -> tuple[ScanPair, ...]:
    """Two scans onto one; labels and points go along with the first."""
    place = tmp_path / "scans"
    place.mkdir()
    for number, name in enumerate("abc"):
        write_volume(replace(small_ct, data=small_ct.data + number), place / f"{name}.nii.gz")
    write_labels(small_labels, place / "organs.nii.gz")
    (place / "tips.csv").write_text("name,x,y,z\ntip,11,2,-2\n")
    fixed = Scan(path=place / "a.nii.gz")
    plain = [ScanPair(name=f"a__{name}", fixed=fixed, moving=Scan(path=place / f"{name}.nii.gz")) for name in "bc"]
    organs = place / "organs.nii.gz"
    more = replace(plain[0], labels=(organs,), points=(place / "tips.csv",), images=(organs,), fixed_labels=organs)
    return (more, *plain[1:])


def finished(pairs: Sequence[ScanPair], output: Path, settings: PairsSettings = SETTINGS, **choices) -> PairsTally:
    def publish(records: Sequence[PairRecord], total: int) -> None:
        assert total == len(pairs)
        write_summary(records, output / "summary.csv")

    return run_pairs(
        tuple(pairs), output, settings=settings, finish=choices.get("finish", NothingMore()), publish=publish
    )


def without_times(output: Path) -> list[dict[str, str]]:
    with (output / "summary.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k not in {f"{t}_s" for t in TIMES}} for row in csv.DictReader(stream)]


@pytest.mark.usefixtures("answer")
def test_every_pair_gets_a_run_folder_and_a_line(pairs, tmp_path) -> None:
    tally = finished(pairs, tmp_path / "out")
    assert (tally.made, tally.kept, tally.failed) == (2, 0, ())
    for pair in pairs:
        assert {"moved.nii.gz", "transform.h5", "inverse.h5", "matches.csv", "run.json", PAIR_RECORD} <= {
            path.name for path in (tmp_path / "out" / pair.name).iterdir()
        }
    rows = without_times(tmp_path / "out")
    assert [(row["pair"], row["status"], row["verdict"]) for row in rows] == [
        (pair.name, "done", "good") for pair in pairs
    ]
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.mark.usefixtures("answer")
def test_labels_images_and_points_go_along(pairs, small_labels, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    folder = tmp_path / "out" / "a__b"
    # The known transform is 10 mm along x and -5 mm along z: 2 voxels and -1 voxel of 5 mm.
    shifted = torch.roll(small_labels.data, (1, -2), dims=(0, 2))[1:, :, :-2]
    for name in ("labels", "images"):
        moved = read_labels(folder / name / "organs.nii.gz").data
        assert torch.equal(moved[1:, :, :-2], shifted)
    assert (folder / "points" / "tips.csv").read_text().splitlines()[1].split(",")[:4] == [
        "1.0000",
        "2.0000",
        "3.0000",
        "tip",
    ]
    record = read_pair_record(folder)
    assert record is not None
    assert record.dice_before == 1.0
    assert 0.5 < (record.dice or 0.0) < 1.0


@pytest.mark.usefixtures("answer")
def test_a_second_run_registers_nothing(pairs, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("a__*/*")}
    tally = finished(pairs, tmp_path / "out")
    assert (tally.made, tally.kept) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("a__*/*")} == before


@pytest.mark.usefixtures("answer")
def test_what_changes_a_result_is_registered_anew(pairs, small_ct, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    write_volume(replace(small_ct, data=small_ct.data + 7), pairs[1].moving.path)
    assert finished(pairs, tmp_path / "out").made == 1
    (tmp_path / "out" / "a__c" / "moved.nii.gz").unlink()
    assert finished(pairs, tmp_path / "out").made == 1
    assert finished([replace(pairs[0], points=()), *pairs[1:]], tmp_path / "out").made == 1
    other = replace(SETTINGS, registration=RegisterSettings(preset="fast", filter="threshold"))
    assert finished(pairs, tmp_path / "out", other).made == 2
    assert finished(pairs, tmp_path / "out", other, finish=NothingMore(edition=2)).made == 2


@pytest.mark.usefixtures("answer")
def test_a_scan_that_was_only_touched_or_another_machine_changes_nothing(pairs, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    pairs[1].moving.path.touch()
    machine = replace(SETTINGS.registration.machine, device="cpu", threads=1)
    elsewhere = replace(SETTINGS, registration=replace(SETTINGS.registration, machine=machine), workers=2)
    assert finished(pairs, tmp_path / "out", elsewhere).made == 0


def test_a_failing_pair_is_a_line_with_its_sentence(pairs, answer, tmp_path) -> None:
    back = replace(pairs[0], name="b__a", fixed=pairs[0].moving, moving=pairs[0].fixed)
    pairs[1].moving.path.write_bytes(b"no scan")
    answers = iter([NoOverlapError("only 3 matches"), known_answer(), known_answer()])

    def next_answer() -> Registration:
        found = next(answers)
        if isinstance(found, NoOverlapError):
            raise found
        return found

    answer(next_answer)
    tally = finished([*pairs, back], tmp_path / "out")
    assert (tally.made, [each.name for each in tally.failed]) == (3, ["a__b", "a__c"])
    rows = {row["pair"]: row for row in without_times(tmp_path / "out")}
    assert rows["a__b"]["error"] == "only 3 matches"
    assert "c.nii.gz" in rows["a__c"]["error"]
    assert [path.name for path in (tmp_path / "out" / "a__b").iterdir()] == [PAIR_RECORD]
    assert finished([*pairs, back], tmp_path / "out").made == 0
    again = finished([*pairs, back], tmp_path / "out", replace(SETTINGS, retry_failed=True))
    assert (again.made, [each.name for each in again.failed]) == (2, ["a__c"])


@pytest.mark.usefixtures("answer")
def test_files_that_a_user_put_into_a_run_folder_stay(pairs, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    (tmp_path / "out" / "a__b" / "mine.txt").write_text("precious")
    finished(pairs, tmp_path / "out", finish=NothingMore(edition=2))
    assert (tmp_path / "out" / "a__b" / "mine.txt").read_text() == "precious"


@pytest.mark.usefixtures("answer")
def test_a_folder_that_no_cohort_made_is_refused_before_anything_is_computed(pairs, tmp_path) -> None:
    (tmp_path / "out" / "a__c").mkdir(parents=True)
    (tmp_path / "out" / "a__c" / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match=r"a__c: is there already and was not made by samereg cohort"):
        finished(pairs, tmp_path / "out")
    assert not (tmp_path / "out" / "a__b").exists()


@pytest.mark.usefixtures("answer")
def test_what_a_killed_run_left_is_tidied_and_put_back(pairs, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    (tmp_path / "out" / "a__b").rename(tmp_path / "out" / ".partial-old-a__b")
    (tmp_path / "out" / ".partial-01234567").mkdir()
    (tmp_path / "out" / ".partial-01234567" / "moved.nii.gz").write_bytes(b"half")
    tally = finished(pairs, tmp_path / "out")
    assert (tally.made, tally.kept) == (0, 2)
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.mark.usefixtures("answer")
def test_each_scan_is_read_once_while_it_is_held(pairs, tmp_path, monkeypatch) -> None:
    read: list[str] = []
    original = worker.read_scan
    monkeypatch.setattr(worker, "read_scan", lambda path, **k: (read.append(path.name), original(path, **k))[1])
    finished(pairs, tmp_path / "out")
    assert sorted(read) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


@pytest.mark.usefixtures("answer")
def test_a_worker_holds_no_more_scans_than_it_may(pairs) -> None:
    one = OpenPairWorker(embedding="compact", store=None, store_gb=0.0)(torch.device("cpu"))
    for pair in pairs:
        one.hold(pair.moving, keep=False)
        one.hold(pair.fixed, keep=False)
        assert len(one._held) <= worker.SCANS_HELD
    small = PairWorker(session=Session(device="cpu"), scans=1)
    assert small.hold(pairs[0].fixed, keep=False).reading_s > 0.0
    assert small.hold(pairs[0].fixed, keep=False).reading_s == 0.0


@pytest.mark.usefixtures("answer")
def test_only_scans_of_several_pairs_are_kept_on_disk_and_those_of_one_fixed_scan_follow_each_other(
    pairs, tmp_path
) -> None:
    back = replace(pairs[0], name="b__a", fixed=pairs[0].moving, moving=pairs[0].fixed)
    plan = make_plan((pairs[0], back, *pairs[1:]), tmp_path / "out", settings=SETTINGS, finish=NothingMore())
    assert [job.pair.name for job in plan.jobs] == ["a__b", "a__c", "b__a"]
    assert [job.keep for job in plan.jobs] == [(True, True), (True, False), (True, True)]


def test_settings_of_one_pair_and_two_places_to_run_at_are_refused() -> None:
    of_one_pair = (
        (("init", Path("x.h5")), "--init"),
        (("series", ("1.2",)), "--series"),
        (("moving_landmarks", Path("x.csv")), "--moving-landmarks"),
        (("fixed_mask", Path("x.nii")), "--fixed-mask"),
    )
    for changes, words in of_one_pair:
        with pytest.raises(UsageError, match=words):
            PairsSettings(registration=replace(RegisterSettings(), **dict([changes])))
    with pytest.raises(UsageError, match=r"--workers.*--scheduler"):
        PairsSettings(workers=2, scheduler="tcp://host:8786")


@pytest.mark.usefixtures("answer")
def test_a_damaged_record_is_named(pairs, tmp_path) -> None:
    finished(pairs, tmp_path / "out")
    path = tmp_path / "out" / "a__b" / PAIR_RECORD
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "status": "perhaps"}))
    with pytest.raises(FileError, match=rf"a__b.{PAIR_RECORD}: is no record of a pair"):
        finished(pairs, tmp_path / "out")


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (75.0, "1 min 15 s"), (7500.0, "2 h 05 min")])
def test_time_left_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
