"""From two files to a folder, with the registration itself replaced by a known answer."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from known_session import unchecked_settings, use_known_confidence, use_known_session
from samereg.app.match_table import read_matches, write_matches
from samereg.app.registration import register_files
from samereg.app.settings import RegisterSettings
from samereg.errors import InputError, NoOverlapError, NotCTError, UsageError
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
from samereg.io.transforms import read_transform
from samereg.matching.matches import Matches
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration, StageReport
from samereg.validation import changed

GOOD = Quality(
    match_count=400,
    kept_fraction=0.8,
    match_error_mm=1.0,
    similarity=0.8,
    inverse_consistency_mm=0.01,
    folded_fraction=0.0,
    jacobian_std=0.2,
    overlap_fraction=0.9,
)
FILES = {"moved.nii.gz", "transform.h5", "inverse.h5", "matches.csv", "run.json"}


def known_answer() -> Registration:
    shift_mm = torch.tensor([10.0, 0.0, -5.0], dtype=torch.float64)
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)
    fixed_mm = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=torch.float64)
    return Registration(
        transform=shift,
        inverse=shift.inverse(),
        matches=Matches(
            fixed_mm=fixed_mm,
            moving_mm=fixed_mm + shift_mm,
            similarity=torch.tensor([0.9, 0.2]),
            cycle_mm=torch.tensor([1.5, float("inf")]),
            used=torch.tensor([True, False]),
        ),
        stages=(
            StageReport(
                name="affine",
                seconds=0.5,
                outcome=Outcome(converged=True, message="done", iterations=3),
                matches=2,
                used=1,
            ),
        ),
        quality=GOOD,
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Registration]], None]:
    def use(function: Callable[[], Registration]) -> None:
        use_known_session(monkeypatch, function)

    use(known_answer)
    return use


@pytest.fixture
def pair(small_ct: Volume, tmp_path: Path) -> tuple[Path, Path]:
    write_volume(small_ct, tmp_path / "fixed.nii.gz")
    write_volume(replace(small_ct, data=small_ct.data + 3), tmp_path / "moving.nii.gz")
    return tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"


@pytest.mark.usefixtures("answer")
def test_the_folder_holds_what_is_promised(pair: tuple[Path, Path], tmp_path: Path) -> None:
    record = register_files(*pair, tmp_path / "out", settings=RegisterSettings()).record
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert record.exit_status == 0
    fixed, moved = read_volume(pair[0]), read_volume(tmp_path / "out" / "moved.nii.gz")
    assert moved.grid.is_close(fixed.grid)
    assert moved.stored_dtype == "int16"


@pytest.mark.usefixtures("answer")
def test_the_expected_error_is_written_when_asked_for(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_known_confidence(monkeypatch, 3.25)
    register_files(*pair, tmp_path / "out", settings=RegisterSettings(confidence=True))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "confidence.nii.gz"}
    assert read_volume(tmp_path / "out" / "confidence.nii.gz").data.unique().tolist() == [3.25]


@pytest.mark.usefixtures("answer")
def test_transform_and_inverse_point_the_right_ways(pair: tuple[Path, Path], tmp_path: Path) -> None:
    register_files(*pair, tmp_path / "out", settings=RegisterSettings())
    point = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    there = read_transform(tmp_path / "out" / "transform.h5").apply(point)
    assert torch.allclose(there, torch.tensor([[11.0, 2.0, -2.0]], dtype=torch.float64))
    assert torch.allclose(read_transform(tmp_path / "out" / "inverse.h5").apply(there), point)


@pytest.mark.usefixtures("answer")
def test_matches_are_one_line_each(pair: tuple[Path, Path], tmp_path: Path) -> None:
    register_files(*pair, tmp_path / "out", settings=RegisterSettings())
    with (tmp_path / "out" / "matches.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["used"] for row in rows] == ["1", "0"]
    assert [row["cycle_mm"] for row in rows] == ["1.50", "inf"]
    assert float(rows[1]["moving_x_mm"]) == pytest.approx(13.0)


def test_matches_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = known_answer().matches
    write_matches(written, tmp_path / "matches.csv")
    read = read_matches(tmp_path / "matches.csv")
    for name in ("fixed_mm", "moving_mm", "similarity", "cycle_mm", "used"):
        assert torch.equal(getattr(read, name), getattr(written, name)), name


def test_a_table_that_holds_no_matches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(InputError, match=r"points.csv.*fixed_x_mm"):
        read_matches(tmp_path / "points.csv")


@pytest.mark.usefixtures("answer")
def test_the_run_record_says_how_it_was_made(pair: tuple[Path, Path], tmp_path: Path) -> None:
    register_files(*pair, tmp_path / "out", settings=RegisterSettings(seed=7))
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"]["seed"] == 7
    assert record["embedding"]["checksum"] == "0" * 64
    assert [stage["name"] for stage in record["recipe"]] == ["AffineStage", "CoarseStage"]
    assert record["recipe"][0]["settings"]["seed"] == 7
    assert record["stages"][0]["outcome"]["converged"] is True
    assert record["quality"]["inverse_consistency_mm"] == pytest.approx(0.01)
    assert record["fixed"]["shape"] == [48, 40, 56]
    assert len(record["moving"]["sha256"]) == 64
    assert record["exit_status"] == 0


def test_a_result_that_fails_its_check_is_written_and_says_so(
    pair: tuple[Path, Path], tmp_path: Path, answer: Callable[[Callable[[], Registration]], None]
) -> None:
    answer(lambda: replace(known_answer(), quality=replace(GOOD, folded_fraction=0.5)))
    record = register_files(*pair, tmp_path / "out", settings=RegisterSettings()).record
    assert record.exit_status == 10
    assert record.faults == ("folding: 50.000 %, above 5.000 %",)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_without_common_anatomy_nothing_is_written(
    pair: tuple[Path, Path], tmp_path: Path, answer: Callable[[Callable[[], Registration]], None]
) -> None:
    def refuse() -> Registration:
        raise NoOverlapError("only 3 matches")

    answer(refuse)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NoOverlapError):
        register_files(*pair, tmp_path / "out", settings=RegisterSettings())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("answer")
def test_a_scan_that_is_no_ct_is_refused_by_name(pair: tuple[Path, Path], small_ct: Volume, tmp_path: Path) -> None:
    write_volume(replace(small_ct, data=small_ct.data.clamp(min=0)), tmp_path / "other.nii.gz")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotCTError, match=r"other\.nii\.gz"):
        register_files(pair[0], tmp_path / "other.nii.gz", tmp_path / "out", settings=RegisterSettings())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("answer")
def test_a_scan_without_a_body_is_refused_by_name(pair: tuple[Path, Path], small_ct: Volume, tmp_path: Path) -> None:
    specks = small_ct.data.clone()
    specks[..., 1::2], specks[..., 1::2, :] = -1000, -1000
    write_volume(replace(small_ct, data=specks), tmp_path / "specks.nii.gz")
    with pytest.raises(InputError, match=r"specks\.nii\.gz: shows no body"):
        register_files(pair[0], tmp_path / "specks.nii.gz", tmp_path / "out", settings=RegisterSettings())


@pytest.mark.usefixtures("answer")
def test_a_folder_that_exists_is_kept_unless_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(UsageError):
        register_files(*pair, tmp_path / "out", settings=RegisterSettings())
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"
    register_files(*pair, tmp_path / "out", settings=RegisterSettings(), overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "precious.txt"}


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("preset", "nonsense", "need one of 'default', 'best', 'fast', 'affine'"),
        ("filter", "nonsense", "need one of 'stable', 'threshold'"),
        ("affine_model", 3, "need one of 'affine', 'rigid', 'similarity'"),
        ("filler", None, "need one of 'regularised', 'linear'"),
        ("orientation", "", "need one of 'find', 'header'"),
        ("init_format", "itkk", "need one of 'auto', 'itk'"),
        ("seed", -1, "need 0 or more"),
        ("seed", 1.5, "need a whole number"),
        ("seed", True, "need a whole number"),
        ("seed", 2**63, "need 0 or more and"),
        ("threads", -2, "need 0 or more"),
        ("confidence", "yes", "need True or False"),
        ("series", "1.2.3", "need a sequence"),
        ("init", 7, "need a path"),
        ("embedding", None, "need a text"),
    ],
)
def test_a_setting_that_is_impossible_is_refused_by_name(name: str, value: object, needed: str) -> None:
    with pytest.raises(UsageError, match=f"Got {name}={re.escape(repr(value))}; {needed}"):
        changed(unchecked_settings(), {name: value})


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="Unknown setting 'presett'; need one of preset, init, "):
        changed(RegisterSettings(), {"presett": "fast"})


def test_what_stands_for_the_same_value_is_taken() -> None:
    given = {"seed": np.int64(3), "series": ["1.2", "1.3"], "init": "start.h5"}
    settings = changed(unchecked_settings(), given)
    assert (settings.seed, settings.series, settings.init) == (3, ("1.2", "1.3"), Path("start.h5"))
    assert type(settings.seed) is int
