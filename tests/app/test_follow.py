"""Lesions followed over visits whose registrations are known."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from app.test_registration import GOOD, known_answer
from known_session import use_known_session
from samereg.app.follow.run import FollowPaths, follow_files
from samereg.app.session import Session
from samereg.app.settings import FollowSettings, RegisterSettings
from samereg.errors import InputError, NoOverlapError, UsageError
from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_labels, write_volume

SETTINGS = FollowSettings(registration=RegisterSettings(preset="fast"))
GRID = axis_aligned_grid((48, 40, 56), (5.0, 5.0, 5.0), (-140.0, -100.0, -120.0))
SHIFT_MM = torch.tensor([10.0, 0.0, -5.0], dtype=torch.float64)
"""Of the known answer: a point of the baseline lies so much farther in the later scan."""

Balls = dict[int, tuple[float, float, float, float]]


def balls(given: Balls, shift_mm: Tensor | None = None) -> LabelMap:
    """A ball for each label: x, y, z and radius."""
    data = torch.zeros(GRID.shape, dtype=torch.int64)
    points = voxel_centres_mm(GRID) - (torch.zeros(3, dtype=torch.float64) if shift_mm is None else shift_mm)
    for value, (x, y, z, radius) in given.items():
        inside = (points - torch.tensor([x, y, z], dtype=torch.float64)).norm(dim=-1) <= radius
        data[inside] = value
    return LabelMap(data=data, grid=GRID)


BASELINE: Balls = {1: (-60, 0, 0, 14), 2: (0, 0, 0, 14), 3: (60, 0, 0, 14), 4: (-60, 0, 60, 14), 5: (-20, 0, 60, 14)}
LATER: Balls = {
    11: (-60, 0, 0, 14),  # stable
    12: (0, 0, 0, 26),  # larger
    14: (-40, 0, 60, 32),  # 4 and 5 merged
    16: (60, 0, 60, 14),  # new
}  # 3 is gone


@pytest.fixture
def place(small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_known_session(monkeypatch, known_answer)
    use_routes(monkeypatch)
    for name in ("baseline", "later"):
        write_volume(replace(small_ct, grid=GRID), tmp_path / f"{name}.nii.gz")
    write_labels(balls(BASELINE), tmp_path / "lesions.nii.gz")
    write_labels(balls(LATER, SHIFT_MM), tmp_path / "later_lesions.nii.gz")
    return tmp_path


def use_routes(monkeypatch: pytest.MonkeyPatch, *, off_mm: float = 1.0, outside: tuple[int, ...] = ()) -> None:
    """The embedding finds every point so far off the registration, and none of some places."""

    def match(_session: Session, _fixed: object, _moving: object, points_mm: Tensor, *_rest: object) -> object:
        found = points_mm + SHIFT_MM + torch.tensor([off_mm, 0.0, 0.0], dtype=torch.float64)
        unseen = torch.zeros(len(points_mm), dtype=torch.bool)
        unseen[list(outside)] = True
        expected = torch.full((len(points_mm),), 3.0)
        return SimpleNamespace(candidates_mm=found[:, None], expected_mm=expected, outside=unseen)

    monkeypatch.setattr(Session, "match", match)
    monkeypatch.setattr(Session, "expected_errors_mm", lambda _s, _f, points: torch.full((len(points),), 2.0))


def follow(place: Path, **changes: object) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    paths = FollowPaths(
        baseline=place / "baseline.nii.gz",
        followups=(place / "later.nii.gz",),
        lesions=place / "lesions.nii.gz",
        followup_lesions=(place / "later_lesions.nii.gz",),
    )
    follow_files(replace(paths, **changes), place / "out", settings=SETTINGS, overwrite=True)
    tables = []
    for name in ("lesions.csv", "visits.csv"):
        with (place / "out" / name).open(newline="") as stream:
            tables.append(list(csv.DictReader(stream)))
    return tables[0], tables[1]


def test_every_lesion_gets_the_word_for_what_became_of_it(place: Path) -> None:
    rows, visits = follow(place)
    later = {int(row["lesion"]): row for row in rows if row["visit"] == "1"}
    words = {number: row["status"] for number, row in later.items()}
    assert {number: words[number] for number in (1, 2, 3, 6)} == {1: "stable", 2: "larger", 3: "gone", 6: "new"}
    merged, kept = (4, 5) if words[4] == "merged" else (5, 4)
    assert (words[merged], later[merged]["other_lesion"]) == ("merged", str(kept))
    # From 28 mm to 52 mm, each to a voxel of 5 mm.
    assert float(later[2]["change_percent"]) == pytest.approx(100 * (52 / 28 - 1), abs=25)
    assert [float(later[1][axis]) for axis in "xyz"] == pytest.approx([-50.0, 0.0, -5.0], abs=1.5)
    assert (visits[1]["response"], visits[0]["response"]) == ("progressive disease", "")


def test_a_lesion_that_became_two_is_split(place: Path) -> None:
    write_labels(balls({1: (-40, 0, 60, 32)}), place / "lesions.nii.gz")
    write_labels(balls({11: (-60, 0, 60, 14), 12: (-20, 0, 60, 14)}, SHIFT_MM), place / "later_lesions.nii.gz")
    rows, visits = follow(place)
    later = [row for row in rows if row["visit"] == "1"]
    assert sorted(row["status"] for row in later) == ["smaller", "split"]
    assert {row["other_lesion"] for row in later} == {"", "1"}
    assert float(visits[1]["sum_mm"]) == pytest.approx(sum(float(row["longest_mm"]) for row in later), abs=0.1)


def test_a_place_that_the_scan_does_not_show_is_no_position(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_routes(monkeypatch, outside=(2,))
    rows, visits = follow(place)
    (row,) = [row for row in rows if row["lesion"] == "3" and row["visit"] == "1"]
    assert (row["status"], row["in_view"], row["x"], row["expected_mm"]) == ("not in view", "no", "", "")
    assert visits[1]["sum_mm"] == ""


def test_routes_that_disagree_by_more_than_their_errors_are_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(row["routes_agree"] == "yes" for row in follow(place)[0] if row["routes_agree"])
    use_routes(monkeypatch, off_mm=5.5)
    row = next(row for row in follow(place)[0] if row["visit"] == "1")
    assert (row["routes_agree"], row["routes_mm"]) == ("no", "5.5")
    assert "disagree by 6 mm" in row["note"]


def test_a_lesion_outside_the_first_scan_is_not_called_new(place: Path) -> None:
    affine = GRID.affine.clone()
    affine[0, 3] += 40.0  # the baseline ends at x = 135 mm
    grid = replace(GRID, affine=affine)
    labels = torch.zeros(GRID.shape, dtype=torch.int64)
    labels[24, 20, -2:] = 20
    write_labels(LabelMap(data=labels, grid=grid), place / "later_lesions.nii.gz")
    rows, visits = follow(place)
    assert [row["status"] for row in rows if row["lesion"] == "6"] == ["not in view before"]
    assert visits[1]["response"] == "complete response"


def test_a_new_lesion_is_followed_from_then_on(place: Path) -> None:
    paths = {"followups": (place / "later.nii.gz",) * 2, "followup_lesions": (place / "later_lesions.nii.gz",) * 2}
    rows, _ = follow(place, **paths)
    assert [row["status"] for row in rows if row["lesion"] == "6"] == ["new", "stable"]
    assert max(int(row["lesion"]) for row in rows) == 6


def test_points_are_located_and_without_later_lesions_nothing_more_is_said(place: Path) -> None:
    (place / "points.csv").write_text("x,y,z\n1,2,3\n-20,5,40\n")
    rows, visits = follow(place, lesions=place / "points.csv", followup_lesions=())
    later = [row for row in rows if row["visit"] == "1"]
    assert [row["status"] for row in later] == ["located", "located"]
    assert [float(later[0][axis]) for axis in "xyz"] == [11.0, 2.0, -2.0]
    assert visits[1]["response"] == "not evaluable"


def test_points_match_points(place: Path) -> None:
    (place / "points.csv").write_text("x,y,z\n0,0,0\n50,0,0\n")
    (place / "later.csv").write_text("x,y,z\n61,0,-5\n12,0,-5\n-60,0,0\n")
    rows, _ = follow(place, lesions=place / "points.csv", followup_lesions=(place / "later.csv",))
    later = {row["lesion"]: row for row in rows if row["visit"] == "1"}
    assert (later["1"]["x"], later["2"]["x"], later["3"]["status"]) == ("12.00", "61.00", "new")


def test_what_cannot_be_followed_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="2 files of --followup-lesions for 1 later"):
        follow(place, followup_lesions=(place / "later_lesions.nii.gz",) * 2)
    write_labels(balls({}), place / "empty.nii.gz")
    with pytest.raises(InputError, match=r"empty\.nii\.gz: holds no lesions"):
        follow(place, lesions=place / "empty.nii.gz")
    assert {row["status"] for row in follow(place, followup_lesions=(place / "empty.nii.gz",))[0]} == {
        "baseline", "gone"
    }  # fmt: skip
    use_known_session(monkeypatch, lambda: replace(known_answer(), quality=replace(GOOD, folded_fraction=0.5)))
    with pytest.raises(NoOverlapError, match=r"later\.nii\.gz: its registration with the baseline fails.*folding"):
        follow(place)
