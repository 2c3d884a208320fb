"""Several volumes, views or frames in one series: read as they are meant, or refused with how to choose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from dicom_series import (
    LPS,
    ORIGIN,
    SERIES,
    SHAPE,
    STEP,
    dataset,
    enhanced,
    frame,
    place,
    slice_at,
    stored_values,
    write_series,
)
from samereg.errors import FileError, GeometryError, InputError, NotCTError
from samereg.io.images import read_volume


def two_phases(folder: Path, name: str, values: tuple[object, object], step: np.ndarray = STEP) -> None:
    for number, value in enumerate(values):
        directory = folder / str(number)
        write_series(directory, values=stored_values() + number)
        for path in directory.iterdir():
            made = dcmread(path)
            setattr(made, name, value)
            place(made, np.array(made.ImagePositionPatient) + number * (step - STEP))
            made.save_as(path)


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        ("TemporalPositionIdentifier", (1, 2), "1, 2"),
        ("AcquisitionNumber", (9, 11), "9, 11"),
        ("NominalPercentageOfCardiacPhase", (40, 75), r"40\.0, 75\.0"),
        ("ConvolutionKernel", ("B31f", "B70f"), "B31f, B70f"),
        ("KVP", ("100", "140"), "100, 140"),
        ("TriggerTime", ("50", "150"), "50, 150"),
        ("AcquisitionTime", ("101500", "101700"), "101500, 101700"),
    ],
)
def test_several_volumes_in_a_series_are_refused_with_how_to_choose(
    name: str, values: tuple[object, object], shown: str, tmp_path: Path
) -> None:
    two_phases(tmp_path, name, values)
    with pytest.raises(GeometryError, match=rf"differ in {name} \({shown}\); need one: put the files with one {name}"):
        read_volume(tmp_path)
    assert read_volume(tmp_path / "1").grid.shape == SHAPE


@pytest.mark.parametrize("offset", [0.9, 1.1, 40.0])
def test_interleaved_acquisitions_are_told(offset: float, tmp_path: Path) -> None:
    two_phases(tmp_path, "AcquisitionNumber", (1, 2), step=STEP + np.array([0.0, 0.0, offset]))
    with pytest.raises(GeometryError, match=r"The series holds 2 volumes by AcquisitionNumber: put the files of one"):
        read_volume(tmp_path)


def test_a_view_in_another_direction_is_the_one_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    view = dataset(tmp_path / "AAA-view.dcm", stored_values()[0])
    place(view, ORIGIN, np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]))
    view.save_as(tmp_path / "AAA-view.dcm")
    with pytest.raises(GeometryError, match=r"its slices are not parallel \(AAA-view\.dcm and IM"):
        read_volume(tmp_path)


def test_a_slice_of_another_size_is_the_one_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    other = dataset(tmp_path / "AAA.dcm", np.zeros((4, 5), np.int16))
    place(other, ORIGIN - STEP)
    other.save_as(tmp_path / "AAA.dcm")
    with pytest.raises(GeometryError, match=r"different sizes, \(4, 5\) of AAA\.dcm and \(9, 8\) of IM"):
        read_volume(tmp_path)


def test_a_series_of_localizers_is_no_ct(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_series(tmp_path, change=change)
    with pytest.raises(NotCTError, match=r"holds no CT series \(images by modality: 6 CT localizer\)"):
        read_volume(tmp_path)


def test_a_series_without_places_says_what_is_missing(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        del made.ImagePositionPatient, made.PixelSpacing

    write_series(tmp_path, change=change)
    with pytest.raises(
        GeometryError, match=r"does not define where it lies; .*\(missing: ImagePositionPatient, PixelSp"
    ):
        read_volume(tmp_path)


@pytest.mark.parametrize("count", [3, 6])
def test_a_missing_slice_names_its_neighbours(count: int, tmp_path: Path) -> None:
    write_series(tmp_path)
    for number in (*range(count + 1, SHAPE[0]), 1):
        slice_at(tmp_path, number).unlink(missing_ok=True)
    first, second = slice_at(tmp_path, 0).name, slice_at(tmp_path, 2).name
    with pytest.raises(GeometryError, match=rf"1 slice is missing between 100\.00 and 105\.00 mm.*{first}, {second}"):
        read_volume(tmp_path)


def changed_enhanced(path: Path, change: Callable[[Dataset], None]) -> np.ndarray:
    values = stored_values()
    enhanced(path, values)
    made = dcmread(path)
    change(made)
    made.save_as(path)
    return values


def with_private_repetition(made: Dataset) -> None:
    """Private groups of a frame that repeat standard elements with numbers of their own."""
    for own in made.PerFrameFunctionalGroupsSequence:
        item = Dataset()
        item.PixelSpacing, item.RescaleSlope, item.ImagePositionPatient = [9.0, 9.0], "7", [1.0, 2.0, 3.0]
        own.ReferencedImageSequence = Sequence([item])
        own.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Sequence([item]))


def test_groups_that_repeat_elements_do_not_move_the_frames(tmp_path: Path) -> None:
    values = changed_enhanced(tmp_path / "scan.dcm", with_private_repetition)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.data[0].numpy(), values - 1024.0)
    assert volume.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))


def test_every_frame_has_its_own_rescaling(tmp_path: Path) -> None:
    def change(made: Dataset) -> None:
        for own in made.PerFrameFunctionalGroupsSequence:
            height = float(own.PlanePositionSequence[0].ImagePositionPatient[2])
            own.PixelValueTransformationSequence[0].RescaleIntercept = str(-height)

    values = changed_enhanced(tmp_path / "scan.dcm", change)
    heights = ORIGIN[2] + 2.5 * np.arange(SHAPE[0])
    np.testing.assert_array_equal(read_volume(tmp_path).data[0].numpy(), values - heights[:, None, None])


def test_one_file_needs_no_series(tmp_path: Path) -> None:
    def change(made: Dataset) -> None:
        del made.SeriesInstanceUID

    changed_enhanced(tmp_path / "scan.dcm", change)
    assert read_volume(tmp_path / "scan.dcm").grid.shape == SHAPE


def without_first_position(made: Dataset) -> None:
    del made.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def without_measures(made: Dataset) -> None:
    del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def with_one_group_too_few(made: Dataset) -> None:
    made.PerFrameFunctionalGroupsSequence = made.PerFrameFunctionalGroupsSequence[1:]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            without_first_position,
            GeometryError,
            r"does not define where its frames lie.*missing: ImagePositionPatient\)",
        ),
        (without_measures, GeometryError, r"does not define where its frames lie.*missing: PixelSpacing\)"),
        (with_one_group_too_few, FileError, "it has 6 frames and describes 5"),
    ],
)
def test_frames_that_are_not_described_are_refused(
    change: Callable[[Dataset], None], error: type[InputError], sentence: str, tmp_path: Path
) -> None:
    changed_enhanced(tmp_path / "scan.dcm", change)
    for path in (tmp_path, tmp_path / "scan.dcm"):
        with pytest.raises(error, match=sentence):
            read_volume(path)


def test_frames_of_several_times_are_refused_with_how_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    values = np.concatenate([stored_values(), stored_values() + 1])
    made = dataset(path, values, storage=EnhancedCTImageStorage, series=SERIES)
    made.NumberOfFrames = len(values)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = LPS.ravel().tolist(), [0.8, 0.7]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = [frame(ORIGIN + number % SHAPE[0] * STEP) for number in range(len(values))]
    for number, own in enumerate(frames):
        content = Dataset()
        content.TemporalPositionIndex = 1 + number // SHAPE[0]
        own.FrameContentSequence = Sequence([content])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    made.save_as(path, enforce_file_format=True)
    with pytest.raises(GeometryError, match=r"\(frame 1\) and .*\(frame 7\).*differ in TemporalPositionIndex \(1, 2\)"):
        read_volume(path)
