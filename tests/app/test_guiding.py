"""Landmarks and masks by path: paired by name or order, and refused by name before anything is computed."""

from pathlib import Path

import pytest
import torch

from known_session import use_known_session
from samereg.app import session
from samereg.app.guiding import guidance_record, read_guidance
from samereg.app.registration import register_files
from samereg.app.settings import RegisterSettings
from samereg.errors import InputError, SameregError, UsageError
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_labels, write_volume
from samereg.pipeline.guidance import Guidance

FIXED = "name,x,y,z\ncarina,0,0,0\nleft dome,70,0,-20\n"
MOVING = "name,x,y,z\nleft dome,75,0,-25\ncarina,5,0,-5\n"


def written(folder: Path, **files: str) -> dict[str, Path]:
    """Settings that name files of these contents."""
    named = {}
    for name, text in files.items():
        named[name] = folder / f"{name}.csv"
        named[name].write_text(text, encoding="utf-8")
    return named


def read(ct: Volume, **settings: object) -> Guidance:
    return read_guidance(RegisterSettings(**settings), ct, ct)


def test_landmarks_are_paired_by_name(small_ct: Volume, tmp_path: Path) -> None:
    found = read(small_ct, **written(tmp_path, fixed_landmarks=FIXED, moving_landmarks=MOVING)).landmarks
    assert found.names == ("carina", "left dome")
    assert (found.moving_mm - found.fixed_mm).tolist() == [[5.0, 0.0, -5.0], [5.0, 0.0, -5.0]]


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        pytest.param("x,y,z\n0,0,0\n70,0,-20\n", MOVING, id="one file has no names"),
        pytest.param(
            FIXED.replace("carina", "F-1").replace("left dome", "F-2"),
            "label,x,y,z\nM-1,75,0,-25\nM-2,5,0,-5\n",
            id="a program numbered the points of each list",
        ),
    ],
)
def test_without_common_names_landmarks_are_paired_by_order(
    small_ct: Volume, tmp_path: Path, fixed: str, moving: str
) -> None:
    found = read(small_ct, **written(tmp_path, fixed_landmarks=fixed, moving_landmarks=moving)).landmarks
    assert found.moving_mm.tolist() == [[75.0, 0.0, -25.0], [5.0, 0.0, -5.0]]


@pytest.mark.parametrize(
    ("fixed", "moving", "sentence"),
    [
        (
            FIXED,
            MOVING.replace("carina", "hilum"),
            r"fixed_landmarks\.csv: names 'carina', which .*moving_landmarks\.csv",
        ),
        (FIXED + "apex,0,0,9\n", MOVING, "names 'apex', which"),
        (FIXED.replace("left dome", "carina"), MOVING, "more than one landmark called 'carina'"),
        ("x,y,z\n0,0,0\n", MOVING, "holds 1 landmarks and .* 2; need as many"),
        (FIXED, MOVING.replace("5,0,-5", "5,0,900"), r"'carina' lies outside the moving scan, at \(5, 0, 900\)"),
        ("x,y,z\n0,0,0\n0,0,-900\n", MOVING, "'2' lies outside the fixed scan"),
    ],
)
def test_landmarks_that_do_not_belong_together_are_refused_by_name(
    small_ct: Volume, tmp_path: Path, fixed: str, moving: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read(small_ct, **written(tmp_path, fixed_landmarks=fixed, moving_landmarks=moving))


def test_landmarks_of_one_scan_alone_are_no_pairs(small_ct: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--fixed-landmarks and --moving-landmarks"):
        read(small_ct, **written(tmp_path, moving_landmarks=MOVING))


def test_a_mask_counts_where_it_is_not_zero_or_but_for_labels(small_labels: LabelMap, tmp_path: Path) -> None:
    path = tmp_path / "labels.nii.gz"
    write_labels(small_labels, path)
    ct = Volume(data=small_labels.data[None].float(), grid=small_labels.grid)
    whole = read(ct, fixed_mask=path).fixed_mask
    partly = read(ct, moving_mask=path, ignore_labels=(2, 3)).moving_mask
    assert whole is not None
    assert partly is not None
    assert torch.equal(whole.data[0] > 0, small_labels.data > 0)
    assert torch.equal(partly.data[0] > 0, small_labels.data < 2)
    assert (whole.background, partly.background) == (0.0, 1.0)


def test_labels_to_ignore_have_to_be_in_a_mask(small_labels: LabelMap, tmp_path: Path) -> None:
    path = tmp_path / "labels.nii.gz"
    write_labels(small_labels, path)
    ct = Volume(data=small_labels.data[None].float(), grid=small_labels.grid)
    with pytest.raises(InputError, match="no voxel of the label 7 to ignore; it has 1, 2, 3"):
        read(ct, fixed_mask=path, ignore_labels=(2, 7))
    with pytest.raises(UsageError, match="--fixed-mask or --moving-mask"):
        read(ct, ignore_labels=(2,))


def test_landmarks_are_refused_before_anything_is_computed(
    small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volume(small_ct, tmp_path / "scan.nii.gz")
    use_known_session(monkeypatch, lambda: pytest.fail("registered"))
    monkeypatch.setattr(session.Session, "prepare", lambda *_: pytest.fail("prepared"))
    paths = written(tmp_path, fixed_landmarks=FIXED, moving_landmarks=MOVING + "apex,0,0,0\n")
    scan = tmp_path / "scan.nii.gz"
    with pytest.raises(SameregError, match="names 'apex'"):
        register_files(scan, scan, tmp_path / "out", settings=RegisterSettings(**paths))
    assert not (tmp_path / "out").exists()


def test_nothing_is_recorded_where_nothing_guided() -> None:
    assert guidance_record(Guidance(), ()) is None
