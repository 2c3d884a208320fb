"""Which files of a folder are slices: behind links, without a preamble, among companions, and damaged ones."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    MediaStorageDirectoryStorage,
    RTStructureSetStorage,
    generate_uid,
)

from dicom_series import (
    ORIGIN,
    SERIES,
    SHAPE,
    STEP,
    as_modality,
    dataset,
    encode,
    place,
    slice_at,
    stored_values,
    with_value,
    without,
    write_series,
)
from samereg.app.scans import find_scans
from samereg.errors import FileError, GeometryError, InputError
from samereg.io.dicom_files import files_below, is_dicom
from samereg.io.images import read_volume

Damage = Callable[[Path], None]


def assert_is_series(folder: Path, values: np.ndarray) -> None:
    np.testing.assert_array_equal(read_volume(folder).data[0].numpy(), values - 1024.0)


def test_slices_behind_links_are_read_once(tmp_path: Path) -> None:
    values = write_series(tmp_path / "archive" / "7f")
    study = tmp_path / "study"
    study.mkdir()
    (study / "series").symlink_to(tmp_path / "archive" / "7f", target_is_directory=True)
    (study / "again").symlink_to(study / "series", target_is_directory=True)
    assert_is_series(study, values)
    (tmp_path / "whole").symlink_to(study, target_is_directory=True)
    assert_is_series(tmp_path / "whole", values)
    assert find_scans(study) == (study / "again",)


def test_links_to_single_slices_are_read(tmp_path: Path) -> None:
    values = write_series(tmp_path / "archive")
    (tmp_path / "study").mkdir()
    for number, path in enumerate(sorted((tmp_path / "archive").iterdir())):
        (tmp_path / "study" / f"{number}").symlink_to(path)
    assert_is_series(tmp_path / "study", values)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    values = write_series(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    assert_is_series(tmp_path / "a", values)
    assert len(files_below(tmp_path / "a")) == SHAPE[0] + 1


def test_a_slice_whose_link_leads_nowhere_is_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "lost.dcm").symlink_to(tmp_path / "nowhere.dcm")
    (tmp_path / "lost.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(FileError, match=r"lost\.dcm: has a DICOM header that cannot be understood \(No such file"):
        read_volume(tmp_path)


def test_a_pipe_is_no_slice(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    os.mkfifo(tmp_path / "pipe.dcm")
    assert_is_series(tmp_path, values)


def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="gone: cannot be searched: No such file"):
        files_below(tmp_path / "gone")


def test_companions_are_ignored_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = write_series(tmp_path)
    slice_bytes = slice_at(tmp_path, 0).read_bytes()
    for name in ("notes.txt", "series.xml", "Thumbs.db", "empty", "scan.nii.gz", "VERSION"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"\x08 something else\0" * 40)
    for name in ("._IM0001.dcm", ".DS_Store", ".IM0009.dcm"):
        (tmp_path / name).write_bytes(slice_bytes[:300])
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "old.dcm").write_bytes(slice_bytes[:300])
    (tmp_path / "DICOMDIR").write_bytes(slice_bytes[:200])
    assert_is_series(tmp_path, values)
    assert not caplog.records


@pytest.mark.parametrize("storage", [RTStructureSetStorage, MediaStorageDirectoryStorage, "1.3.12.2.1107.5.9.1"])
def test_dicom_objects_without_an_image_are_ignored(storage: str, tmp_path: Path) -> None:
    values = write_series(tmp_path / "scan")
    for folder in ("scan", "structures"):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "other.dcm"
        made = dataset(path, stored_values()[0], storage=storage)
        for name in ("Rows", "Columns", "PixelData", "BitsAllocated"):
            delattr(made, name)
        made.save_as(path, enforce_file_format=True)
    assert_is_series(tmp_path / "scan", values)
    assert find_scans(tmp_path) == (tmp_path / "scan",)
    with pytest.raises(FileError, match="is a DICOM file without an image"):
        read_volume(tmp_path / "scan" / "other.dcm")


def without_preamble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[132:])


def bare(path: Path) -> None:
    made = dcmread(path)
    plain = Dataset()
    plain.update(made)
    plain.save_as(path, implicit_vr=True, little_endian=True)


def bare_explicit(path: Path) -> None:
    made = dcmread(path)
    plain = Dataset()
    plain.update(made)
    plain.save_as(path, implicit_vr=False, little_endian=True)


@pytest.mark.parametrize("suffix", [".dcm", ".IMA", "", ".1"])
@pytest.mark.parametrize("strip", [without_preamble, bare, bare_explicit])
def test_files_without_preamble_are_read_whatever_their_name(strip: Damage, suffix: str, tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        strip(path)
        path.rename(path.with_suffix(suffix))
    assert_is_series(tmp_path, values)
    assert find_scans(tmp_path) == (tmp_path,)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08\0", b"\x08\0\x05\0CS", b"\x02\0\0\0hello world, this is text", b"# A text\n" * 50, b"\0\x08" * 99],
)
def test_other_files_are_not_taken_for_dicom(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert not is_dicom(tmp_path / "file")


def cut_to(size: int) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return damage


def without_pixels(path: Path) -> None:
    made = dcmread(path)
    del made.PixelData
    made.save_as(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def overwritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:132] + b"\xff" * (len(content) - 132))


def with_no_number(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"-30.000000", b"-3O.OOOOOO"))


@pytest.mark.parametrize("number", [0, 3, 5])
@pytest.mark.parametrize(
    "damage", [cut_to(0), cut_to(60), cut_to(200), cut_to(700), without_pixels, cut_short, overwritten, with_no_number]
)
def test_a_damaged_slice_is_refused_by_name(damage: Damage, number: int, tmp_path: Path) -> None:
    write_series(tmp_path)
    path = slice_at(tmp_path, number)
    damage(path)
    with pytest.raises(FileError, match=rf"{path.name}: "):
        read_volume(tmp_path)


@pytest.mark.parametrize("series", [None, SERIES, SERIES[:9]])
def test_the_damage_is_named_when_too_little_is_left(series: str | None, tmp_path: Path) -> None:
    write_series(tmp_path, values=stored_values((2, 9, 8)))
    for left in (1, 0):
        path = sorted(tmp_path.iterdir())[left]
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(FileError, match=r"\.dcm: is cut off before its pixels; need it whole"):
            read_volume(tmp_path, series=series)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_file_cut_anywhere_is_never_left_out(syntax: str, tmp_path: Path) -> None:
    write_series(tmp_path)
    for path in tmp_path.iterdir():
        encode(path, syntax)
    path = slice_at(tmp_path, 5)
    content = path.read_bytes()
    for size in range(140, len(content), 61):
        path.write_bytes(content[:size])
        with pytest.raises(FileError, match=rf"{path.name}: "):
            read_volume(tmp_path)


def test_every_broken_byte_gives_an_error_or_the_series(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    path = slice_at(tmp_path, 2)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for place_in_file in random.integers(132, len(content) - values[0].nbytes, 40):
        broken = bytearray(content)
        broken[place_in_file] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(broken))
        try:
            read = read_volume(tmp_path)
        except InputError as error:
            sentence = str(error)
        else:
            sentence = f"{tmp_path}: {read.grid.shape}"
            assert read.grid.shape == SHAPE
        assert sentence.startswith(str(tmp_path))


def test_junk_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.dcm").write_bytes(b"\0" * 128 * (number % 2) + b"DICM" + random.bytes(300))
        with pytest.raises(FileError, match=r"a\.dcm: .*; need it whole, or elsewhere"):
            read_volume(folder)


def test_damage_in_another_series_is_told_and_not_in_the_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = write_series(tmp_path / "a")
    write_series(tmp_path / "b", values=stored_values((3, 9, 8)), series="1.2.3.2")
    path = sorted((tmp_path / "b").iterdir())[0]
    path.write_bytes(path.read_bytes()[: -values[0].nbytes - 20])
    assert_is_series(tmp_path, values)
    assert f"{path.name}: is cut off before its pixels; its series 1.2.3.2 is not read" in caplog.text
    with pytest.raises(FileError, match=rf"{path.name}: is cut off"):
        read_volume(tmp_path, series="1.2.3.2")


def test_an_image_without_series_is_refused_by_name(tmp_path: Path) -> None:
    write_series(tmp_path, change=without(2, "SeriesInstanceUID"))
    with pytest.raises(FileError, match=rf"{slice_at(tmp_path, 2).name}: has no SeriesInstanceUID"):
        read_volume(tmp_path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_image_whose_series_is_no_uid_is_refused_beside_one_that_is(tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        if number == 5:
            made.SeriesInstanceUID = "x"

    write_series(tmp_path, change=change)
    with pytest.raises(FileError, match=rf"{slice_at(tmp_path, 5).name}: has a SeriesInstanceUID of 'x'"):
        read_volume(tmp_path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_series_that_was_given_a_name_for_a_uid_is_read(tmp_path: Path) -> None:
    assert_is_series(tmp_path, write_series(tmp_path, series="patient7-chest"))


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("kind", ["1.2.840.1000", "1.2.840.10008.5.1.4.1.1", "not a uid"])
def test_an_object_of_no_known_kind_and_modality_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        if number == 5:
            made.SOPClassUID = kind
            del made.Modality, made.Rows

    write_series(tmp_path, change=change)
    with pytest.raises(FileError, match=rf"{slice_at(tmp_path, 5).name}: .*does not say what it holds"):
        read_volume(tmp_path)


def test_a_private_object_that_names_its_modality_is_no_obstacle(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    made = dcmread(slice_at(tmp_path, 0))
    made.SOPClassUID, made.Modality = "1.2.840.113619.4.30", "RAW"
    del made.Rows, made.PixelData
    made.save_as(tmp_path / "private.dcm")
    assert_is_series(tmp_path, values)


def test_a_screenshot_without_series_is_no_obstacle(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    made = dataset(tmp_path / "shot.dcm", stored_values()[0], series="")
    as_modality("OT")(made, 0)
    made.save_as(tmp_path / "shot.dcm", enforce_file_format=True)
    assert_is_series(tmp_path, values)


def test_a_ct_without_modality_is_known_by_its_class(tmp_path: Path) -> None:
    def change(made: Dataset, _number: int) -> None:
        del made.Modality

    assert_is_series(tmp_path, write_series(tmp_path, change=change))


def test_copies_are_known_by_place_and_pixels_not_by_name(tmp_path: Path) -> None:
    uid = generate_uid()

    def change(made: Dataset, _number: int) -> None:
        made.SOPInstanceUID = uid

    values = write_series(tmp_path / "a", change=change)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert_is_series(tmp_path, values)
    rival = dataset(tmp_path / "rival.dcm", values[4])
    place(rival, ORIGIN + 3 * STEP)
    rival.SOPInstanceUID = uid
    rival.save_as(tmp_path / "rival.dcm")
    with pytest.raises(GeometryError, match=r"different slices at the same position, though both are called"):
        read_volume(tmp_path)


def test_the_order_of_instance_numbers_is_no_matter(tmp_path: Path) -> None:
    def change(made: Dataset, number: int) -> None:
        made.InstanceNumber = 100 - number

    assert_is_series(tmp_path, write_series(tmp_path, change=change))


def test_a_zero_slope_is_damage(tmp_path: Path) -> None:
    write_series(tmp_path, change=with_value(1, "RescaleSlope", "0"))
    with pytest.raises(FileError, match=rf"{slice_at(tmp_path, 1).name}: .*RescaleSlope is 0"):
        read_volume(tmp_path)
