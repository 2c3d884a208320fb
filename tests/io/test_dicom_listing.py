"""`samereg list`: what a folder holds, which series is taken and why; no patient is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from clinical_series import PATIENT, uid, write_clinical
from samereg.cli.main import main
from samereg.errors import FileError
from samereg.geometry.grid import axis_aligned_grid
from samereg.io.dicom_listing import list_series
from samereg.io.images import read_volume

LARGE = axis_aligned_grid((8, 10, 12), (3.0, 1.5, 1.25))
SMALL = axis_aligned_grid((5, 10, 12), (3.0, 1.5, 1.25))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, one in a subfolder of a subfolder; a series with a gap, an MR and a localizer."""
    place = tmp_path_factory.mktemp("media")
    write_clinical(place / "a" / "b", LARGE, number=1)
    write_clinical(place / "a", SMALL, number=2)
    write_clinical(place / "gap", LARGE, number=3, values=np.zeros((8, 8, 8)))
    (place / "gap" / "3-004.dcm").unlink()
    for number, change in ((4, {"Modality": "MR"}), (5, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})):
        for path in write_clinical(place / str(number), SMALL, number=number).iterdir():
            made = dcmread(path)
            made.update(change)
            made.save_as(path)
    (place / "DICOMDIR").write_bytes(b"index")
    return place


def test_every_series_is_listed_with_what_tells_it_apart(folder: Path) -> None:
    found = {entry.series_uid: entry for entry in list_series(folder)}
    assert set(found) == {uid(number, 2) for number in (1, 2, 3, 4, 5)}
    first = found[uid(1, 2)]
    assert (first.modality, first.description, first.images, first.contrast) == ("CT", "Lung 3.0", 8, "Iodine")
    assert (first.shape, first.study_date, first.study_uid) == ((8, 10, 12), "20260101", uid(1, 1))
    assert first.spacing_mm == pytest.approx((3.0, 1.5, 1.25))
    assert first.extent_mm == pytest.approx((24.0, 15.0, 15.0))


def test_the_series_that_is_said_to_be_taken_is_the_one_that_is_read(folder: Path) -> None:
    (taken,) = (entry.series_uid for entry in list_series(folder) if entry.is_taken)
    assert taken == uid(1, 2) == read_volume(folder).source.series_uid


def test_the_others_say_why_not(folder: Path) -> None:
    why = {entry.series_uid: entry.why for entry in list_series(folder)}
    assert why[uid(1, 2)] == "the CT with most voxels"
    assert why[uid(2, 2)] == "another CT has more voxels"
    assert why[uid(3, 2)].startswith("1 slice is missing between")
    assert (why[uid(4, 2)], why[uid(5, 2)]) == ("no CT", "a localizer")


def test_the_command_prints_series_and_names_no_patient(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "Lung 3.0" in printed
    assert f"* {uid(1, 2)}: the CT with most voxels" in printed
    assert not [value for value in PATIENT.values() if value in printed]
    assert main(["list", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_a_folder_without_dicom_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no DICOM images; need a folder of them"):
        list_series(tmp_path)
