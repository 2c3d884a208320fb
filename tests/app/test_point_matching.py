"""Points from files and labels, with the embedding replaced by positions."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from known_session import use_known_session
from samereg.app.plain import to_plain
from samereg.app.point_matching import PointQuery, match_files, records, table
from samereg.app.settings import MachineSettings, MatchSettings
from samereg.errors import InputError, UsageError
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_labels, write_volume
from samereg.pipeline.query import Answers, Query

ON_CPU = MatchSettings(machine=MachineSettings(device="cpu"))


@pytest.fixture
def place(small_ct: Volume, small_labels: LabelMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scan, labels and points; every point is found 10 mm further along x, and once more at 50 mm."""
    write_volume(small_ct, tmp_path / "ct.nii.gz")
    write_labels(small_labels, tmp_path / "labels.nii.gz")
    (tmp_path / "points.csv").write_text("x,y,z,name\n0,0,0,middle\n10,0,-5,other\n")

    def find(query: Query, _pair: object, points_mm: torch.Tensor) -> Answers:
        steps = torch.tensor([[10.0, 0.0, 0.0], [50.0, 0.0, 0.0]], dtype=torch.float64)
        count = len(points_mm)
        assert query.candidates == 2
        return Answers(
            fixed_mm=points_mm,
            candidates_mm=points_mm[:, None] + steps,
            similarity=torch.tensor([[0.5, 0.25]]).expand(count, 2),
            cycle_mm=torch.zeros(count),
            expected_mm=torch.full((count,), 3.0),
            beyond_mm=torch.full((count, 2), -20.0),
            outside=points_mm[:, 0] > 5.0,
        )

    use_known_session(monkeypatch, lambda: pytest.fail("registered"))
    monkeypatch.setattr(Query, "run", find)
    return tmp_path


def found_in(place: Path, query: PointQuery | None = None, settings: MatchSettings = ON_CPU, **more: object):
    query = query or PointQuery(points=place / "points.csv")
    return match_files(place / "ct.nii.gz", place / "ct.nii.gz", query, settings=settings, **more)


def test_columns_of_the_point_file_are_kept(place: Path) -> None:
    header, rows = table(found_in(place))
    assert header[3] == "name"
    assert [row[3] for row in rows] == ["middle", "other"]
    assert [row[4:7] for row in rows] == [["10.000", "0.000", "0.000"], ["20.000", "0.000", "-5.000"]]


def test_the_table_is_written_when_asked_for(place: Path) -> None:
    found_in(place, output=place / "found.csv")
    first, *rest = (place / "found.csv").read_text().splitlines()
    columns = "moving_x,moving_y,moving_z,similarity,cycle_mm,margin,expected_mm,outside"
    assert first == f"x,y,z,name,{columns}"
    assert rest[0].endswith(",0.5000,0.00,0.2500,3.0,no")
    assert rest[1].endswith(",yes")


def test_further_candidates_stand_behind(place: Path) -> None:
    header, rows = table(found_in(place), candidates=2)
    assert header[-4:] == ("moving_x_2", "moving_y_2", "moving_z_2", "similarity_2")
    assert rows[0][-4:] == ["50.000", "0.000", "0.000", "0.2500"]


def test_the_voxels_of_a_label_can_be_asked_for(place: Path, small_labels: LabelMap) -> None:
    found = found_in(place, PointQuery(labels=place / "labels.nii.gz", label=2))
    index = torch.nonzero(small_labels.data == 2).double()
    assert torch.allclose(found.answers.fixed_mm, small_labels.grid.to_world(index))


def test_a_label_that_is_not_there_is_refused_with_those_that_are(place: Path) -> None:
    with pytest.raises(InputError, match=r"no voxel of label 9; it has 1, 2, 3"):
        found_in(place, PointQuery(labels=place / "labels.nii.gz", label=9))


def test_exactly_one_way_of_asking_is_needed(place: Path) -> None:
    for query in (
        PointQuery(labels=place / "labels.nii.gz"),
        PointQuery(points=place / "points.csv", labels=place / "labels.nii.gz", label=2),
        PointQuery(points=place / "points.csv", label=2),
    ):
        with pytest.raises(UsageError, match="either --points"):
            found_in(place, query)


def test_points_outside_the_fixed_scan_are_refused_by_line(place: Path) -> None:
    (place / "points.csv").write_text("x,y,z\n0,0,0\n9999,0,0\n")
    with pytest.raises(InputError, match=r"points\.csv: 1 of 2 points lie outside .* number 2"):
        found_in(place)


def test_a_table_that_exists_is_kept(place: Path) -> None:
    (place / "found.csv").write_text("precious")
    with pytest.raises(UsageError):
        found_in(place, output=place / "found.csv")
    assert (place / "found.csv").read_text() == "precious"


def test_names_stay_text_and_the_results_own_columns_keep_their_names(place: Path) -> None:
    (place / "odd.csv").write_text("x,y,z,name,name,similarity,similarity_2\n0,0,0,007,1e5,a,b\n")
    found = match_files(place / "ct.nii.gz", place / "ct.nii.gz", PointQuery(points=place / "odd.csv"), settings=ON_CPU)
    (row,) = records(found)
    assert [row[name] for name in ("name", "name_2", "input_similarity", "input_similarity_2")] == [
        "007",
        "1e5",
        "a",
        "b",
    ]
    assert isinstance(row["similarity"], float)
    assert len(row) == len(table(found)[0])


def test_a_margin_without_a_second_place_is_null_in_json(place: Path) -> None:
    found = match_files(
        place / "ct.nii.gz", place / "ct.nii.gz", PointQuery(points=place / "points.csv"), settings=ON_CPU
    )
    alone = replace(
        found,
        answers=replace(
            found.answers,
            candidates_mm=found.answers.candidates_mm[:, :1],
            similarity=found.answers.similarity[:, :1],
        ),
    )
    plain = to_plain(records(alone))
    assert json.loads(json.dumps(plain, allow_nan=False))[0]["margin"] is None
