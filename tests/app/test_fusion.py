"""Fusing labels of atlases whose registrations are known."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.test_registration import GOOD, known_answer
from known_session import use_known_session
from samereg.app import fusion
from samereg.app.fusion import Voter, fuse, fuse_files, read_atlases
from samereg.app.settings import FuseSettings, RegisterSettings
from samereg.errors import InputError, NoOverlapError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, read_volume, write_labels, write_volume
from samereg.pipeline.register import Registration

SETTINGS = FuseSettings(registration=RegisterSettings(preset="fast"), method="majority")


def everywhere(like: Volume, similarity: float) -> Volume:
    return Volume(data=torch.full_like(like.data, similarity), grid=like.grid, stored_dtype="float32")


def shift(x_mm: float) -> Affine:
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([x_mm, 0.0, 0.0], dtype=torch.float64))


@pytest.fixture
def place(small_ct: Volume, small_labels: LabelMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target and three atlases that lie 10 mm to the side of it, 5 mm lower: as the known answer has it."""
    use_known_session(monkeypatch, known_answer)
    monkeypatch.setattr(fusion, "similarity_map", lambda found: everywhere(found.fixed.volume, 0.5))
    write_volume(small_ct, tmp_path / "target.nii.gz")
    affine = small_ct.grid.affine.clone()
    affine[:3, 3] += torch.tensor([10.0, 0.0, -5.0], dtype=torch.float64)
    moved = replace(small_ct.grid, affine=affine)
    for name in "abc":
        write_volume(replace(small_ct, grid=moved), tmp_path / f"{name}.nii.gz")
        write_labels(replace(small_labels, grid=moved), tmp_path / f"{name}_labels.nii.gz")
    rows = "".join(f"{name}.nii.gz,{name}_labels.nii.gz,{name}\n" for name in "abc")
    (tmp_path / "atlases.csv").write_text("image,labels,patient\n" + rows)
    return tmp_path


def test_labels_agreement_and_volumes_are_written(place: Path, small_labels: LabelMap) -> None:
    atlases = read_atlases(place / "atlases.csv", place / "target.nii.gz")
    record = fuse_files(place / "target.nii.gz", atlases, place / "fused.nii.gz", settings=SETTINGS)
    assert [path.name for path in record.files] == ["fused.nii.gz", "fused_agreement.nii.gz", "fused_volumes.csv"]
    assert torch.equal(read_labels(place / "fused.nii.gz").data, small_labels.data)
    assert read_volume(place / "fused_agreement.nii.gz").data.unique().tolist() == [1.0]
    with (place / "fused_volumes.csv").open(newline="") as stream:
        rows = {int(row["label"]): row for row in csv.DictReader(stream)}
    for value in (1, 2, 3):
        volume_ml = int((small_labels.data == value).sum()) * 0.125
        assert float(rows[value]["volume_ml"]) == pytest.approx(volume_ml)
        assert float(rows[value]["lowest_ml"]) == float(rows[value]["highest_ml"]) == pytest.approx(volume_ml)


def test_an_atlas_that_fails_does_not_vote_and_the_record_says_why(place: Path, monkeypatch) -> None:
    answers = iter([known_answer(), NoOverlapError("only 3 matches"), replace(GOOD, folded_fraction=0.5)])

    def next_answer() -> Registration:
        found = next(answers)
        if isinstance(found, NoOverlapError):
            raise found
        return found if isinstance(found, Registration) else replace(known_answer(), quality=found)

    use_known_session(monkeypatch, next_answer)
    atlases = read_atlases(place / "atlases.csv", place / "target.nii.gz")
    record = fuse_files(place / "target.nii.gz", atlases, place / "fused.nii.gz", settings=SETTINGS)
    assert record.atlases == 1
    assert [Path(name).name for name in record.left_out] == ["b.nii.gz", "c.nii.gz"]
    assert "only 3 matches" in record.left_out[str(place / "b.nii.gz")]


def test_without_any_atlas_nothing_is_written(place: Path, monkeypatch) -> None:
    def refuse() -> Registration:
        raise NoOverlapError("only 3 matches")

    use_known_session(monkeypatch, refuse)
    atlases = read_atlases(place / "atlases.csv", place / "target.nii.gz")
    with pytest.raises(NoOverlapError, match=r"target\.nii\.gz: no atlas could be registered.*only 3 matches"):
        fuse_files(place / "target.nii.gz", atlases, place / "fused.nii.gz", settings=SETTINGS)
    assert not list(place.glob("fused*"))


def test_the_more_similar_atlas_has_the_say_and_one_that_does_not_show_a_place_has_none(
    small_labels: LabelMap, small_ct: Volume
) -> None:
    right = Voter(labels=small_labels, transform=Affine.identity(), similarity=everywhere(small_ct, 0.9))
    wrong = Voter(labels=small_labels, transform=shift(40.0), similarity=everywhere(small_ct, 0.2))
    weighted = fuse([wrong, wrong, right], small_ct.grid, "weighted", sharpness=20.0)
    assert torch.equal(weighted.labels.data, small_labels.data)
    assert not torch.equal(fuse([wrong, wrong, right], small_ct.grid, "majority", sharpness=20.0).labels.data,
                           small_labels.data)  # fmt: skip
    away = replace(wrong, transform=shift(1e4))
    alone = fuse([away, away, right], small_ct.grid, "majority", sharpness=20.0)
    assert torch.equal(alone.labels.data, small_labels.data)
    assert alone.agreement.data.unique().tolist() == [1.0]
    nobody = fuse([away], small_ct.grid, "majority", sharpness=20.0)
    assert (int(nobody.labels.data.max()), float(nobody.agreement.data.max())) == (0, 0.0)


def test_votes_are_the_same_slab_by_slab(small_labels: LabelMap, small_ct: Volume, monkeypatch) -> None:
    voters = [
        Voter(labels=small_labels, transform=shift(x_mm), similarity=everywhere(small_ct, 0.5)) for x_mm in (0.0, 7.0)
    ]
    methods = ("weighted", "staple")
    whole = [fuse(voters, small_ct.grid, method, sharpness=20.0) for method in methods]
    monkeypatch.setattr(fusion, "SLAB_VOXELS", 7 * 40 * 56)
    for method, before in zip(methods, whole, strict=True):
        after = fuse(voters, small_ct.grid, method, sharpness=20.0)
        assert torch.equal(after.labels.data, before.labels.data)
        assert torch.equal(after.agreement.data, before.agreement.data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image\na.nii.gz\n", "need 'labels' too"),
        ("image,labels\n", "holds no atlases"),
        ("image,labels\na.nii.gz,\n", "line 2, column 'labels': is empty"),
        ("image,labels\na.nii.gz,b.nii.gz\n", r"line 2, column 'labels': names .*b\.nii\.gz, which does not exist"),
        ("image,labels\na.nii.gz,a.nii.gz\ntarget.nii.gz,a.nii.gz\n", "line 3 names the target itself"),
    ],
)
def test_what_is_wrong_with_the_table_of_atlases_is_said(text: str, words: str, tmp_path: Path) -> None:
    for name in ("a", "target"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"x")
    (tmp_path / "atlases.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_atlases(tmp_path / "atlases.csv", tmp_path / "target.nii.gz")


def test_an_output_that_is_an_atlas_or_no_image_is_refused(place: Path) -> None:
    atlases = read_atlases(place / "atlases.csv", place / "target.nii.gz")
    with pytest.raises(UsageError, match="is also an input"):
        fuse_files(place / "target.nii.gz", atlases, place / "b_labels.nii.gz", settings=SETTINGS, overwrite=True)
    with pytest.raises(UsageError, match="is of no image format"):
        fuse_files(place / "target.nii.gz", atlases, place / "fused.txt", settings=SETTINGS)


def test_settings_that_only_one_registration_has_are_refused() -> None:
    for changes in ({"dicom": True}, {"confidence": True}, {"series": ("1.2",)}, {"init": Path("x.h5")}):
        with pytest.raises(UsageError, match=f"--{next(iter(changes))}"):
            FuseSettings(registration=RegisterSettings(**changes))
