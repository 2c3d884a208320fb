"""What Python users are given back, with the registration itself replaced by a known answer."""

import json
from inspect import unwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

import samereg
from known_session import unchecked_settings, use_known_confidence, use_known_session
from samereg.app import api
from samereg.app.api import PairTransform, RegisteredPair
from samereg.errors import InputError, NotCTError, UsageError
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_volume, write_volume
from samereg.io.memory import ImageLike, of_kind
from samereg.matching.matches import Matches
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration, StageReport
from samereg.validation import changed

SHIFT_MM = (10.0, 0.0, -5.0)
POINT_MM = (1.0, 2.0, 3.0)
QUALITY = Quality(
    match_count=400,
    kept_fraction=0.8,
    match_error_mm=1.0,
    similarity=0.8,
    inverse_consistency_mm=0.0,
    folded_fraction=0.0,
    jacobian_std=0.0,
    overlap_fraction=0.9,
)


def known_answer() -> Registration:
    shift_mm = torch.tensor(SHIFT_MM, dtype=torch.float64)
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)
    point_mm = torch.tensor([POINT_MM], dtype=torch.float64)
    return Registration(
        transform=shift,
        inverse=shift.inverse(),
        matches=Matches(
            fixed_mm=point_mm,
            moving_mm=point_mm + shift_mm,
            similarity=torch.tensor([0.9]),
            cycle_mm=torch.tensor([1.5]),
            used=torch.tensor([True]),
        ),
        stages=(
            StageReport(
                name="affine",
                seconds=0.5,
                outcome=Outcome(converged=True, message="done", iterations=3),
                matches=1,
                used=1,
            ),
        ),
        quality=QUALITY,
    )


@pytest.fixture(autouse=True)
def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    use_known_session(monkeypatch, known_answer)


@pytest.fixture
def paths(small_ct: Volume, tmp_path: Path) -> tuple[Path, Path]:
    write_volume(small_ct, tmp_path / "fixed.nii.gz")
    write_volume(small_ct, tmp_path / "moving.nii.gz")
    return tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"


def kinds(path: Path) -> dict[str, ImageLike]:
    loaded = nib.load(path)
    return {
        "SimpleITK": sitk.ReadImage(str(path)),
        "nibabel": loaded,
        "array": (np.asarray(loaded.dataobj), loaded.affine),
        "volume": read_volume(path),
    }


def expected_by_itk(paths: tuple[Path, Path]) -> np.ndarray:
    """The moving scan through the known answer, (d, h, w), by another program."""
    fixed, moving = (sitk.ReadImage(str(path)) for path in paths)
    shift = sitk.TranslationTransform(3, SHIFT_MM)
    return sitk.GetArrayFromImage(sitk.Resample(moving, fixed, shift, sitk.sitkLinear, -1024.0))


@pytest.mark.parametrize("kind", ["SimpleITK", "nibabel", "array", "volume"])
def test_the_moved_scan_is_of_the_kind_that_came_in(kind: str, paths: tuple[Path, Path]) -> None:
    fixed, moving = (kinds(path)[kind] for path in paths)
    moved = samereg.register(fixed, moving, device="cpu").moved
    assert type(moved) is type(moving)
    numbers = api.to_volume(moved).data[0].numpy()
    # ITK cuts fractions of a HU off; the rest for positions within 1e-3 voxel, where HU change by 200 a voxel.
    assert np.abs(numbers - expected_by_itk(paths)).max() <= 1.2
    assert api.to_volume(moved).grid.is_close(read_volume(paths[0]).grid)


def test_two_kinds_may_be_mixed_and_a_path_becomes_a_volume(paths: tuple[Path, Path]) -> None:
    assert isinstance(samereg.register(paths[0], sitk.ReadImage(str(paths[1]))).moved, sitk.Image)
    assert isinstance(samereg.register(str(paths[0]), str(paths[1])).moved, Volume)


def test_choices_are_those_of_the_command(paths: tuple[Path, Path]) -> None:
    settings = samereg.register(*paths, preset="fast", affine_model="rigid", seed=4, device="cpu").record.settings
    assert (settings.preset, settings.affine_model, settings.seed) == ("fast", "rigid", 4)
    assert settings.machine.device == "cpu"


def result(paths: tuple[Path, Path]) -> RegisteredPair:
    return samereg.register(*paths, device="cpu")


def test_points_of_the_fixed_scan_go_to_the_moving_scan(paths: tuple[Path, Path]) -> None:
    found = result(paths)
    np.testing.assert_allclose(found.transform.apply_to_points([POINT_MM]), [[11.0, 2.0, -2.0]])
    np.testing.assert_allclose(found.inverse.apply_to_points([[11.0, 2.0, -2.0]]), [POINT_MM])


def test_ras_points_have_the_other_sign_in_and_out(paths: tuple[Path, Path]) -> None:
    found = result(paths).transform.apply_to_points(np.array([[-1.0, -2.0, 3.0]]), frame="RAS")
    np.testing.assert_allclose(found, [[-11.0, -2.0, -2.0]])


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((4, 2)), np.array([[1.0, np.nan, 3.0]])])
def test_what_are_no_points_is_refused(points: np.ndarray, paths: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="n x 3 finite"):
        result(paths).transform.apply_to_points(points)


@pytest.mark.parametrize(
    "points",
    [
        torch.tensor([POINT_MM], requires_grad=True),
        torch.tensor([POINT_MM]).bfloat16(),
        np.array([POINT_MM], dtype=np.float32),
        np.array([POINT_MM], dtype=object),
        [tuple(POINT_MM)],
        (np.array(POINT_MM),),
        [[np.float32(value) for value in POINT_MM]],
    ],
    ids=["with grad", "bfloat16", "float32", "objects", "tuples", "arrays", "numpy scalars"],
)
def test_points_may_come_in_whatever_holds_numbers(points: object, paths: tuple[Path, Path]) -> None:
    found = unwrap(PairTransform.apply_to_points)(result(paths).transform, points)
    np.testing.assert_allclose(found, [[11.0, 2.0, -2.0]], atol=1e-6)


@pytest.mark.parametrize(
    "points",
    ["1 2 3", [["1", "2", "3"]], [[1, 2, 3], [4, 5]], [[1j, 2, 3]], None, np.ma.masked_equal([[1.0, 2.0, 3.0]], 2.0)],
    ids=["text", "numbers as text", "ragged", "complex", "nothing", "masked"],
)
def test_what_are_no_numbers_is_refused_in_a_sentence(points: object, paths: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"^points: "):
        unwrap(PairTransform.apply_to_points)(result(paths).transform, points)


@pytest.mark.parametrize("seed", [np.int64(3), torch.tensor(3), np.array(3)])
def test_a_seed_may_be_a_whole_number_of_any_library(seed: object) -> None:
    assert changed(unchecked_settings(), {"seed": seed}).seed == 3


@pytest.mark.parametrize("seed", [3.0, "3", None, -1, 2**63])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        changed(unchecked_settings(), {"seed": seed})


def test_a_choice_that_does_not_exist_is_refused(paths: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"preset='fastest'; need one of 'default', 'best', 'fast', 'affine'"):
        samereg.register(*paths, unchecked_settings(), preset="fastest")
    with pytest.raises(UsageError, match="Unknown setting 'presett'"):
        samereg.register(*paths, presett="fast")


def test_a_frame_or_interpolation_that_does_not_exist_is_refused(paths: tuple[Path, Path]) -> None:
    found = result(paths).transform
    # Unwrapped: what type checking of calls, which only tests do, would refuse first.
    with pytest.raises(UsageError, match="frame='ras'; need one of 'LPS', 'RAS'"):
        unwrap(PairTransform.apply_to_points)(found, [POINT_MM], frame="ras")
    for method in (PairTransform.apply_to_image, PairTransform.apply_to_labels):
        with pytest.raises(UsageError, match="interpolation='cubic'"):
            unwrap(method)(found, paths[1], interpolation="cubic")


def test_the_transform_carries_the_moving_scan_as_the_result_does(paths: tuple[Path, Path]) -> None:
    found = result(paths)
    moved = found.transform.apply_to_image(paths[1])
    assert torch.equal(api.to_volume(moved).data, api.to_volume(found.moved).data)


def test_labels_move_by_whole_voxels_and_keep_their_type(paths: tuple[Path, Path], small_labels: LabelMap) -> None:
    # The shift is two voxels along x and one along z.
    given = of_kind(small_labels, sitk.Image(1, 1, 1, sitk.sitkUInt8))
    moved = result(paths).transform.apply_to_labels(given)
    assert isinstance(moved, sitk.Image)
    assert moved.GetPixelID() == sitk.sitkUInt8
    array, original = sitk.GetArrayFromImage(moved), small_labels.data.numpy()
    np.testing.assert_array_equal(array[1:, :, :-2], original[:-1, :, 2:])


def test_another_grid_can_be_asked_for(paths: tuple[Path, Path]) -> None:
    coarse = sitk.Image([10, 11, 12], sitk.sitkInt16)
    coarse.SetSpacing([20.0, 20.0, 20.0])
    moved = result(paths).transform.apply_to_image(sitk.ReadImage(str(paths[1])), reference=coarse)
    assert isinstance(moved, sitk.Image)
    assert (moved.GetSize(), moved.GetSpacing()) == (coarse.GetSize(), coarse.GetSpacing())


def test_saving_writes_what_the_command_writes(paths: tuple[Path, Path], tmp_path: Path) -> None:
    result(paths).save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"moved.nii.gz", "transform.h5", "inverse.h5", "matches.csv", "run.json"}
    stored = sitk.ReadTransform(str(tmp_path / "out" / "transform.h5"))
    np.testing.assert_allclose(stored.TransformPoint(POINT_MM), [11.0, 2.0, -2.0])
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["fixed"]["path"] == str(paths[0])
    assert len(record["fixed"]["sha256"]) == 64


def test_saving_over_something_has_to_be_asked_for(paths: tuple[Path, Path], tmp_path: Path) -> None:
    found = result(paths)
    found.save(tmp_path / "out")
    with pytest.raises(UsageError, match="overwrite"):
        found.save(tmp_path / "out")
    found.save(tmp_path / "out", overwrite=True)


def test_images_in_memory_are_recorded_as_such(paths: tuple[Path, Path]) -> None:
    images = [sitk.ReadImage(str(path)) for path in paths]
    record = samereg.register(*images).record
    assert (record.fixed.path, record.fixed.sha256) == (None, None)
    assert record.fixed.shape == (48, 40, 56)


def test_what_is_no_ct_is_refused_by_name() -> None:
    blank = sitk.Image([64, 64, 64], sitk.sitkInt16)
    with pytest.raises(NotCTError, match="the fixed scan"):
        samereg.register(blank, blank)


def test_the_map_is_what_the_rest_of_the_project_takes(paths: tuple[Path, Path]) -> None:
    found = result(paths).transform
    assert isinstance(found, PairTransform)
    moving = read_volume(paths[1])
    moved = samereg.resample_volume(moving, found.map, found.grid)
    assert torch.equal(moved.data, api.to_volume(found.apply_to_image(moving)).data)


def test_the_expected_error_comes_as_the_kind_of_the_fixed_scan_and_is_saved(
    paths: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_known_confidence(monkeypatch, 3.25)
    images = [sitk.ReadImage(str(path)) for path in paths]
    assert api.register(*images).confidence is None
    result = api.register(*images, confidence=True)
    assert isinstance(result.confidence, sitk.Image)
    assert result.confidence.GetPixel(0, 0, 0) == 3.25
    result.save(tmp_path / "out")
    assert (tmp_path / "out" / "confidence.nii.gz").is_file()
