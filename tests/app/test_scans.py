"""Which files are scans, and which series is taken."""

from pathlib import Path

import pytest

from samereg.app.scans import find_scans, read_scan, series_of_pair
from samereg.errors import FileError, NotCTError, UsageError
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import write_labels, write_volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.nii.gz",
        "a.mha",
        "deep/c.NRRD",
        "dicom/1.dcm",
        "dicom/2.dcm",
        "notes.txt",
        ".hidden.nii",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_every_image_and_dicom_folder_is_found_in_order(folder: Path) -> None:
    names = [str(path.relative_to(folder)) for path in find_scans(folder)]
    assert names == ["a.mha", "b.nii.gz", "deep/c.NRRD", "dicom"]


def test_a_list_names_its_scans(folder: Path) -> None:
    (folder / "list.txt").write_text("# mine\nb.nii.gz\n\ndicom\n")
    assert find_scans(folder / "list.txt") == (folder / "b.nii.gz", folder / "dicom")


def test_a_list_that_names_a_missing_scan_is_refused(folder: Path) -> None:
    (folder / "list.txt").write_text("missing.nii\n")
    with pytest.raises(FileError, match=r"list\.txt: names .*missing\.nii, which does not exist"):
        find_scans(folder / "list.txt")


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        find_scans(tmp_path / "missing")
    with pytest.raises(FileError, match="holds no scans"):
        find_scans(tmp_path)


def test_a_binary_file_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(FileError, match="not a text file"):
        find_scans(tmp_path / "list.txt")


def test_each_folder_gets_its_series_and_files_get_none(folder: Path) -> None:
    dicom, image = folder / "dicom", folder / "a.mha"
    assert series_of_pair(image, image, ()) == (None, None)
    assert series_of_pair(dicom, image, ("1.2",)) == ("1.2", None)
    assert series_of_pair(image, dicom, ("1.2",)) == (None, "1.2")
    assert series_of_pair(dicom, dicom, ("1.2", "1.3")) == ("1.2", "1.3")


@pytest.mark.parametrize(("kinds", "series"), [("dd", ("1",)), ("df", ("1", "2")), ("ff", ("1",))])
def test_a_series_too_many_or_too_few_is_refused(folder: Path, kinds: str, series: tuple[str, ...]) -> None:
    fixed, moving = (folder / ("dicom" if kind == "d" else "a.mha") for kind in kinds)
    with pytest.raises(UsageError, match="one for each folder"):
        series_of_pair(fixed, moving, series)


def test_a_scan_is_read_in_hu(small_ct: Volume, tmp_path: Path) -> None:
    write_volume(small_ct, tmp_path / "scan.nii.gz")
    read = read_scan(tmp_path / "scan.nii.gz")
    assert read.grid.is_close(small_ct.grid)
    assert read.data.equal(small_ct.data)


def test_labels_are_no_scan(small_labels: LabelMap, tmp_path: Path) -> None:
    write_labels(small_labels, tmp_path / "labels.nii.gz")
    with pytest.raises(NotCTError, match=r"labels\.nii\.gz"):
        read_scan(tmp_path / "labels.nii.gz")
