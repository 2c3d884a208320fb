"""DICOM folders, as scanners and archives make them, become volumes or a sentence."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from laws import rotation
from samereg.errors import FileError, GeometryError, InputError, NotCTError, UsageError
from samereg.io.images import read_volume

SHAPE = (6, 9, 8)
SERIES = "1.2.826.0.1.3680043.8.498.1"
LPS = np.array([[1.0, 0, 0], [0, 1.0, 0]])
STEP = np.array([0.0, 0.0, 2.5])
ORIGIN = np.array([-30.0, -40.0, 100.0])

Change = Callable[[Dataset, int], None]


def stored_values(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2000, shape).astype(np.int16)


def meta(storage: str, syntax: str = ExplicitVRLittleEndian) -> FileMetaDataset:
    made = FileMetaDataset()
    made.MediaStorageSOPClassUID = storage
    made.MediaStorageSOPInstanceUID = generate_uid()
    made.TransferSyntaxUID = syntax
    return made


def dataset(path: Path, pixels: np.ndarray, *, storage: str = CTImageStorage, series: str = SERIES) -> FileDataset:
    made = FileDataset(str(path), {}, file_meta=meta(storage), preamble=b"\0" * 128)
    made.SOPClassUID = storage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID = series
    made.Modality = "CT"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit = 15
    made.PixelRepresentation = 1
    made.PixelData = pixels.tobytes()
    return made


def place(made: Dataset, position: np.ndarray, directions: np.ndarray = LPS) -> None:
    made.ImagePositionPatient = [f"{v:.6f}" for v in position]
    made.ImageOrientationPatient = [f"{v:.8f}" for v in directions.ravel()]
    made.PixelSpacing = ["0.8", "0.7"]
    made.RescaleSlope, made.RescaleIntercept = "1", "-1024"


def write_series(
    folder: Path,
    *,
    values: np.ndarray | None = None,
    step: np.ndarray = STEP,
    directions: np.ndarray = LPS,
    series: str = SERIES,
    change: Change | None = None,
) -> np.ndarray:
    """A series whose file names are in no order; the stored numbers are returned."""
    folder.mkdir(parents=True, exist_ok=True)
    values = stored_values() if values is None else values
    names = np.random.default_rng(1).permutation(len(values))
    for number, plane in enumerate(values):
        path = folder / f"IM{names[number]:04d}-{series[-1]}.dcm"
        made = dataset(path, plane, series=series)
        place(made, ORIGIN + number * step, directions)
        made.InstanceNumber = int(names[number])
        if change is not None:
            change(made, number)
        made.save_as(path, enforce_file_format=True)
    return values


def slice_at(folder: Path, number: int) -> Path:
    return folder / f"IM{np.random.default_rng(1).permutation(SHAPE[0])[number]:04d}-{SERIES[-1]}.dcm"


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


def test_every_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        made.RescaleSlope, made.RescaleIntercept = str(1 + 0.5 * number), str(-1000 - number)

    values = write_series(tmp_path, change=change)
    volume = read_volume(tmp_path)
    numbers = np.arange(SHAPE[0])[:, None, None]
    np.testing.assert_allclose(volume.data[0].numpy(), values * (1 + 0.5 * numbers) - 1000 - numbers)
    assert volume.stored_dtype == "float32"


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


def as_modality(name: str) -> Change:
    def change(made: Dataset, _number: int) -> None:
        made.Modality = name

    return change


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
    with pytest.raises(GeometryError, match=r"are different slices at one place \(several phases"):
        read_volume(tmp_path)


def test_missing_slices_are_counted(tmp_path: Path) -> None:
    write_series(tmp_path)
    slice_at(tmp_path, 2).unlink()
    slice_at(tmp_path, 3).unlink()
    with pytest.raises(GeometryError, match=r"2 slices are missing between 102\.50 and 110\.00 mm"):
        read_volume(tmp_path)


def moved(number: int, offset: tuple[float, float, float]) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            made.ImagePositionPatient = [str(v) for v in ORIGIN + index * STEP + np.array(offset)]

    return change


def with_value(number: int, name: str, value: Any) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            setattr(made, name, value)

    return change


def without(number: int, name: str) -> Change:
    def change(made: Dataset, index: int) -> None:
        if index == number:
            delattr(made, name)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (moved(5, (0.0, 0.0, 0.9)), r"its slices are unevenly spaced, 2\.50 mm and 3\.40 mm"),
        (moved(3, (2.0, 0.0, 0.0)), "do not lie above each other in a straight line"),
        (with_value(2, "PixelSpacing", ["0.9", "0.7"]), r"different pixel spacing, \[0\.\d, 0\.7\]"),
        (with_value(2, "ImageOrientationPatient", [0, 1, 0, 0, 0, 1]), "its slices are not parallel"),
        (without(2, "ImagePositionPatient"), "does not say where it lies"),
        (without(2, "PixelSpacing"), "does not say where it lies"),
        (without(2, "ImageOrientationPatient"), "does not say where it lies"),
        (with_value(2, "ImagePositionPatient", None), "does not say where it lies"),
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


def test_padding_becomes_the_background(tmp_path: Path) -> None:
    values = stored_values()
    values[:, :2] = -2000
    write_series(tmp_path / "low", values=values, change=padded_with(-2000))
    volume = read_volume(tmp_path / "low")
    assert volume.background == -3024.0
    assert float(volume.data[0, 0, 0, 0]) == -3024.0
    values[:, :2] = 3000
    write_series(tmp_path / "high", values=values, change=padded_with(3000))
    volume = read_volume(tmp_path / "high")
    assert volume.background == -1024.0
    assert float(volume.data[0, 0, 0, 0]) == -1024.0


def padded_with(value: int) -> Change:
    def change(made: Dataset, _number: int) -> None:
        made.PixelPaddingValue = value

    return change


def test_run_length_compression_is_decoded(tmp_path: Path) -> None:
    values = write_series(tmp_path, change=lambda made, _: made.compress(RLELossless))
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_files_without_preamble_are_read(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_files_without_any_file_header_are_read(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        made = dcmread(path)
        bare = Dataset()
        bare.update(made)
        bare.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - 1024.0)


def test_truncated_pixels_are_refused_by_file(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = slice_at(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileError, match=rf"{path.name}: has pixels that are truncated or cannot be decoded"):
        read_volume(tmp_path)


def test_a_header_that_is_not_understood_leaves_a_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path)
    path = slice_at(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:200])
    with caplog.at_level(logging.WARNING), pytest.raises(GeometryError, match="1 slice is missing"):
        read_volume(tmp_path)


def test_junk_is_no_series(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(30):
        (tmp_path / f"{number}.dcm").write_bytes(b"\0" * 128 * (number % 2) + b"DICM" + random.bytes(300))
    with pytest.raises(FileError, match="holds no DICOM images"):
        read_volume(tmp_path)


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    write_series(tmp_path, values=stored_values((1, 9, 8)))
    with pytest.raises(NotCTError, match="need one of at least 2 slices"):
        read_volume(tmp_path)
    with pytest.raises(GeometryError, match="holds 1 slice; need at least 2"):
        read_volume(tmp_path, series=SERIES)
    with pytest.raises(FileError, match="is a single DICOM image; give the folder"):
        read_volume(next(tmp_path.iterdir()))


def enhanced(path: Path, values: np.ndarray) -> None:
    """An enhanced CT whose frames are stored in no order."""
    order = np.random.default_rng(2).permutation(len(values))
    made = dataset(path, values[order], storage=EnhancedCTImageStorage)
    made.NumberOfFrames = len(values)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = LPS.ravel().tolist()
    measures.PixelSpacing = [0.8, 0.7]
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence([frame(ORIGIN + number * STEP) for number in order])
    made.save_as(path, enforce_file_format=True)


def frame(position: np.ndarray) -> Dataset:
    own, plane, rescaling = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = position.tolist()
    rescaling.RescaleSlope, rescaling.RescaleIntercept = "1", "-1024"
    own.PlanePositionSequence = Sequence([plane])
    own.PixelValueTransformationSequence = Sequence([rescaling])
    return own


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
    with pytest.raises(InputError, match="holds no CT series"):
        read_volume(tmp_path)


def test_dicom_without_suffix_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    enhanced(tmp_path / "00000001", stored_values())
    assert read_volume(tmp_path / "00000001").grid.shape == SHAPE
