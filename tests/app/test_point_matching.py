"""Points from files, with the embedding replaced by positions."""

from pathlib import Path

import pytest
import torch

from samereg.app import point_matching
from samereg.app.machine import MachineSettings
from samereg.app.point_matching import MatchSettings, match_files, table
from samereg.errors import InputError, UsageError
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.matching.matches import Matches

ON_CPU = MatchSettings(machine=MachineSettings(device="cpu"))


@pytest.fixture
def place(small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scan and points; every point is found 10 mm further along x."""
    write_volume(small_ct, tmp_path / "ct.nii.gz")
    (tmp_path / "points.csv").write_text("x,y,z,name\n0,0,0,middle\n10,0,-5,other\n")

    def find(_fixed: object, _moving: object, points_mm: torch.Tensor) -> Matches:
        count = len(points_mm)
        return Matches(
            fixed_mm=points_mm,
            moving_mm=points_mm + torch.tensor([10.0, 0.0, 0.0], dtype=torch.float64),
            similarity=torch.full((count,), 0.5),
            cycle_mm=torch.zeros(count),
            used=torch.ones(count, dtype=torch.bool),
        )

    monkeypatch.setattr(point_matching, "load_embedder", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(point_matching, "prepare_scan", lambda *_args: None)
    monkeypatch.setattr(point_matching, "match_points", find)
    return tmp_path


def test_columns_of_the_point_file_are_kept(place: Path) -> None:
    found = match_files(place / "ct.nii.gz", place / "ct.nii.gz", place / "points.csv", settings=ON_CPU)
    header, rows = table(found)
    assert header[3] == "name"
    assert [row[3] for row in rows] == ["middle", "other"]
    assert [row[4:7] for row in rows] == [["10.000", "0.000", "0.000"], ["20.000", "0.000", "-5.000"]]


def test_the_table_is_written_when_asked_for(place: Path) -> None:
    match_files(
        place / "ct.nii.gz",
        place / "ct.nii.gz",
        place / "points.csv",
        settings=ON_CPU,
        output=place / "found.csv",
    )
    first, *rest = (place / "found.csv").read_text().splitlines()
    assert first == "x,y,z,name,moving_x,moving_y,moving_z,similarity,cycle_mm"
    assert len(rest) == 2


def test_points_outside_the_fixed_scan_are_refused_by_line(place: Path) -> None:
    (place / "points.csv").write_text("x,y,z\n0,0,0\n9999,0,0\n")
    with pytest.raises(InputError, match=r"points\.csv: 1 of 2 points lie outside .* line 3"):
        match_files(place / "ct.nii.gz", place / "ct.nii.gz", place / "points.csv", settings=ON_CPU)


def test_a_table_that_exists_is_kept(place: Path) -> None:
    (place / "found.csv").write_text("precious")
    with pytest.raises(UsageError):
        match_files(
            place / "ct.nii.gz",
            place / "ct.nii.gz",
            place / "points.csv",
            settings=ON_CPU,
            output=place / "found.csv",
        )
    assert (place / "found.csv").read_text() == "precious"
