"""DICOM folders, as scanners and archives make them, become volumes or a sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.dataset import Dataset

from dicom_series import (
    LPS,
    ORIGIN,
    SERIES,
    SHAPE,
    STEP,
    Change,
    as_modality,
    dataset,
    enhanced,
    moved,
    place,
    slice_at,
    stored_values,
    with_value,
    without,
    write_series,
)
from laws import rotation
from samereg.errors import FileError, GeometryError, InputError, NotCTError, UsageError
from samereg.io.images import read_volume


def test_slices_are_ordered_by_position_and_rescaled(tmp_path: Path) -> None:
    values = write_series(tmp_path / "deep" / "er")
    (tmp_path / "deep" / "README.txt").write_text("not a slice")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.data[0].numpy(), values - 1024.0)
    assert volume.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert volume.grid.origin_mm.tolist() == ORIGIN.tolist()
    assert volume.grid.to_world(torch.tensor([0.0, 1.0, 2.0])).tolist() == pytest.approx([-28.6, -39.2, 100.0])
    assert (volume.stored_dtype, volume.background) == ("int16", -1024.0)


def test_a_stack_given_from_head_to_feet_is_the_same(tmp_path: Path) -> None:
    write_series(tmp_path / "up")
    write_series(tmp_path / "down", values=stored_values()[::-1], step=-STEP)
    up, down = read_volume(tmp_path / "up"), read_volume(tmp_path / "down")
    assert torch.equal(up.data, down.data)
    assert down.grid.origin_mm[2] == 100.0 - 5 * 2.5


def test_oblique_stacks_lie_where_their_headers_say(tmp_path: Path) -> None:
    turn = rotation((1.0, -0.4, 0.3), 33.0).numpy()
    write_series(tmp_path, directions=LPS @ turn.T, step=turn @ STEP)
    grid = read_volume(tmp_path).grid
    expected = ORIGIN + turn @ np.array([0.7 * 4, 0.8 * 3, 2.5 * 5])
    np.testing.assert_allclose(grid.to_world(torch.tensor([5.0, 3.0, 4.0])).numpy(), expected, atol=1e-4)
    assert grid.is_orthonormal


def test_the_largest_ct_is_taken_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values=stored_values((3, 9, 8)), series="1.2.3.1")
    write_series(tmp_path / "a", series="1.2.3.2")
    write_series(tmp_path / "b", values=stored_values((9, 9, 8)), series="1.9.3", change=as_modality("PT"))
    assert read_volume(tmp_path).grid.shape == SHAPE
    assert read_volume(tmp_path, series="1.2.3.1").grid.shape == (3, 9, 8)
    assert read_volume(tmp_path, series="1.9").grid.shape == (9, 9, 8)
    with pytest.raises(UsageError, match=r"2 series begin with '1\.2'; it holds 1\.2\.3\.1 \(CT, 3 images\); 1\.2"):
        read_volume(tmp_path, series="1.2")
    with pytest.raises(UsageError, match=r"no series begins with '7'; it holds"):
        read_volume(tmp_path, series="7")


def test_a_folder_without_ct_says_what_it_holds(tmp_path: Path) -> None:
    write_series(tmp_path, change=as_modality("MR"))
    with pytest.raises(NotCTError, match=r"holds no CT series \(images by modality: 6 MR\)"):
        read_volume(tmp_path)


def test_planning_projections_in_the_series_are_left_out(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    scout = dataset(tmp_path / "scout.dcm", np.zeros((40, 50), np.int16))
    place(scout, ORIGIN, np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]))
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.save_as(tmp_path / "scout.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_copies_are_dropped_and_rivals_refused(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(slice_at(tmp_path, 2).read_bytes())
    again = dataset(tmp_path / "again.dcm", values[3])
    place(again, ORIGIN + 3 * STEP)
    again.save_as(tmp_path / "again.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)
    again.PixelData = values[4].tobytes()
    again.save_as(tmp_path / "again.dcm", enforce_file_format=True)
    with pytest.raises(GeometryError, match=r"are different slices at the same position \(several phases"):
        read_volume(tmp_path)


def test_missing_slices_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path)
    slice_at(tmp_path, 2).unlink()
    slice_at(tmp_path, 3).unlink()
    with pytest.raises(GeometryError, match=r"2 slices are missing between 102\.50 and 110\.00 mm"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (moved(5, (0.0, 0.0, 0.9)), r"its slices are unevenly spaced, 2\.50 mm and 3\.40 mm"),
        (moved(3, (2.0, 0.0, 0.0)), "do not lie above each other in a straight line"),
        (with_value(2, "PixelSpacing", ["0.9", "0.7"]), r"different pixel spacing, \[0\.\d, 0\.7\]"),
        (with_value(2, "ImageOrientationPatient", [0, 1, 0, 0, 0, 1]), "its slices are not parallel"),
        (without(2, "ImagePositionPatient"), "does not define where it lies"),
        (without(2, "PixelSpacing"), "does not define where it lies"),
        (without(2, "ImageOrientationPatient"), "does not define where it lies"),
        (with_value(2, "ImagePositionPatient", None), "does not define where it lies"),
        (with_value(2, "Columns", 4), "its slices have different sizes"),
        (with_value(2, "SamplesPerPixel", 3), "holds 3 numbers per pixel"),
    ],
)
def test_a_slice_that_does_not_fit_is_named(change: Change, sentence: str, tmp_path: Path) -> None:
    write_series(tmp_path / "scan", change=change)
    with pytest.raises(InputError, match=rf"scan: .*{sentence}"):
        read_volume(tmp_path / "scan")


@pytest.mark.parametrize("spacing", [["0", "0.7"], ["-0.8", "0.7"]])
def test_spacing_that_is_no_spacing_is_refused(spacing: list[str], tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        made.PixelSpacing = spacing

    write_series(tmp_path, change=change)
    with pytest.raises(GeometryError, match="need positive numbers"):
        read_volume(tmp_path)


def test_rows_and_columns_at_other_than_right_angles_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, directions=np.array([[1.0, 0, 0], [0.3, 0.954, 0]]))
    with pytest.raises(GeometryError, match="not at right angles"):
        read_volume(tmp_path)


def test_rounded_positions_are_no_gaps(tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        made.ImagePositionPatient = ["-30", "-40", f"{100 + 0.625 * number:.1f}"]

    write_series(tmp_path, change=change)
    assert read_volume(tmp_path).grid.spacing_mm[0] == pytest.approx(0.625, abs=0.02)


@pytest.mark.parametrize("slide", [(0.0, 0.9, 2.5), (0.0, -0.9, 2.5), (0.35, 0.4, -2.5)])
def test_a_tilted_gantry_is_straightened(slide: tuple[float, float, float], tmp_path: Path) -> None:
    # A linear ramp of the world: linear interpolation must reproduce it wherever a slice was measured.
    numbers = np.arange(SHAPE[0])[:, None, None]
    x = ORIGIN[0] + 0.7 * np.arange(SHAPE[2])[None, None] + slide[0] * numbers
    y = ORIGIN[1] + 0.8 * np.arange(SHAPE[1])[None, :, None] + slide[1] * numbers
    z = ORIGIN[2] + slide[2] * numbers
    write_series(tmp_path, values=np.rint(10 * x + 20 * y + 5 * z + 2000).astype(np.int16), step=np.array(slide))
    volume = read_volume(tmp_path)
    assert volume.grid.is_orthonormal
    positions = volume.grid.to_world(torch.cartesian_prod(*[torch.arange(float(n)) for n in volume.grid.shape]))
    expected = positions @ torch.tensor([10.0, 20.0, 5.0], dtype=torch.float64) + 2000 - 1024
    measured = volume.data.flatten().double()
    inside = (measured - expected).abs() < 2.0
    # Everything else is the empty corner beside a slice, or the voxel in which its edge fades.
    assert int(inside.sum()) > 0.7 * np.prod(SHAPE)
    assert float(measured[~inside].min()) == -1024.0


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    write_series(tmp_path, values=stored_values((1, 9, 8)))
    with pytest.raises(NotCTError, match="need one of at least 2 slices"):
        read_volume(tmp_path)
    with pytest.raises(GeometryError, match="holds 1 slice; need at least 2"):
        read_volume(tmp_path, series=SERIES)
    with pytest.raises(FileError, match="is a single DICOM image; give the folder"):
        read_volume(next(tmp_path.iterdir()))


def test_an_enhanced_ct_is_read_from_its_file_and_from_its_folder(tmp_path: Path) -> None:
    values = stored_values()
    enhanced(tmp_path / "scan.dcm", values)
    for path in (tmp_path, tmp_path / "scan.dcm"):
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.data[0].numpy(), values - 1024.0)
        assert volume.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))


def test_frames_without_places_are_refused(tmp_path: Path) -> None:
    made = dataset(tmp_path / "scan.dcm", stored_values())
    place(made, ORIGIN)
    made.NumberOfFrames = SHAPE[0]
    made.save_as(tmp_path / "scan.dcm", enforce_file_format=True)
    for path in (tmp_path, tmp_path / "scan.dcm"):
        with pytest.raises(GeometryError, match=r"holds 6 frames and does not define where its frames lie.*ImageP"):
            read_volume(path)


def test_dicom_without_suffix_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    enhanced(tmp_path / "00000001", stored_values())
    assert read_volume(tmp_path / "00000001").grid.shape == SHAPE
