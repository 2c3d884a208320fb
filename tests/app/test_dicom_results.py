"""Results as DICOM objects: what other systems are given, and that runs between other scans do not begin."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import torch

from app.test_registration import FILES, known_answer
from clinical_series import HELD, PATIENT, uid, write_clinical
from crosstool.dicom_tools import complaints
from known_session import use_known_session
from laws import grid_from_directions, rotation, signed_axes
from samereg.app.api import register
from samereg.app.registration import register_files
from samereg.app.run_folder import RunFolder
from samereg.app.settings import RegisterSettings
from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.io.dicom_images import write_series
from samereg.io.images import read_volume, write_volume
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces


@pytest.fixture(scope="module")
def studies(small_ct: Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two studies of one body, the second with other numbers."""
    place, hu = tmp_path_factory.mktemp("studies"), small_ct.data[0].numpy()[::2]
    affine = small_ct.grid.affine.clone()
    affine[:3, 0] *= 2.0
    grid = Grid(shape=hu.shape, affine=affine)
    return (
        write_clinical(place / "study1", grid, number=1, values=hu),
        write_clinical(place / "study2", grid, number=2, values=hu + 3),
    )


@pytest.fixture(scope="module")
def out(studies: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result") / "out"
    with pytest.MonkeyPatch.context() as patch:
        use_known_session(patch, known_answer)
        register_files(*studies, folder, settings=RegisterSettings(dicom=True))
    return folder


def test_a_registration_object_and_a_moved_series_lie_beside_the_other_files(out: Path) -> None:
    assert {path.name for path in out.iterdir()} == {*FILES, "registration.dcm", "moved"}
    found = read_transform_file(out / "registration.dcm", spaces=Spaces())
    point = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(found.apply(point), point + torch.tensor([[10.0, 0.0, -5.0]], dtype=torch.float64))


def test_the_moved_series_reads_as_the_moved_scan(out: Path) -> None:
    moved, series = read_volume(out / "moved.nii.gz"), read_volume(out / "moved")
    assert series.grid.is_close(moved.grid)
    torch.testing.assert_close(series.data, moved.data)
    assert series.source.frame_of_reference_uid == uid(1, 9)


def test_the_moved_series_says_whose_it_is_what_it_was_made_from_and_how_to_show_it(out: Path) -> None:
    files = [pydicom.dcmread(path) for path in sorted((out / "moved").iterdir())]
    made = files[0]
    assert {name: str(made[name].value) for name in HELD} == HELD
    assert (made.StudyInstanceUID, made.FrameOfReferenceUID) == (uid(2, 1), uid(1, 9))
    assert {each.SeriesInstanceUID for each in files} == {made.SeriesInstanceUID} != {uid(2, 2)}
    assert len({each.SOPInstanceUID for each in files}) == len(files)
    assert list(made.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert made.DerivationCodeSequence[0].CodeMeaning == "Deformed for Registration"
    assert [item.ReferencedSOPInstanceUID for item in made.SourceImageSequence] == [
        uid(2, 3, number + 1) for number in range(len(files))
    ]
    assert (list(made.WindowCenter), list(made.WindowWidth)) == ([40, -600], [400, 1500])
    assert (made.RescaleSlope, made.RescaleIntercept, made.RescaleType) == (1, -1024, "HU")
    assert (made.ContrastBolusAgent, made.SeriesDescription) == ("Iodine", "Lung 3.0 (registered)")
    assert "OperatorsName" not in made
    assert "PatientAddress" not in made


def test_dciodvfy_finds_no_error_in_a_moved_series_and_its_registration(out: Path) -> None:
    assert complaints(out / "registration.dcm") == []
    assert complaints(out / "moved" / "0001.dcm") == []


def test_a_new_run_into_the_folder_leaves_no_slice_of_the_last_one(
    out: Path, studies: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Path(shutil.copytree(out, tmp_path / "again"))
    (again / "moved" / "notes.txt").write_text("of the user")
    use_known_session(monkeypatch, known_answer)
    register_files(*studies, again, settings=RegisterSettings(), overwrite=True)
    assert [path.name for path in (again / "moved").iterdir()] == ["notes.txt"]
    assert not (again / "registration.dcm").exists()


@pytest.mark.parametrize("which", [0, 1])
def test_scans_that_are_no_dicom_are_refused_before_anything_is_computed(
    which: int, studies: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> object:
        raise AssertionError("computed")

    use_known_session(monkeypatch, never)
    write_volume(read_volume(studies[which]), tmp_path / "scan.nii.gz")
    pair = [*studies]
    pair[which] = tmp_path / "scan.nii.gz"
    with pytest.raises(InputError, match=r"scan\.nii\.gz: is no DICOM scan, and a DICOM result needs two"):
        register_files(*pair, tmp_path / "out", settings=RegisterSettings(dicom=True))
    with pytest.raises(InputError, match=r"scan\.nii\.gz: is no DICOM scan"):
        register(*pair, dicom=True)
    assert not (tmp_path / "out").exists()


def test_a_result_in_python_is_saved_as_dicom(
    studies: tuple[Path, Path], small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_known_session(monkeypatch, known_answer)
    result = register(*studies)
    result.save(tmp_path / "plain")
    result.save(tmp_path / "out", dicom=True)
    assert {path.name for path in (tmp_path / "plain").iterdir()} == FILES
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "registration.dcm", "moved"}
    in_memory = register(studies[0], small_ct)
    with pytest.raises(InputError, match="is no DICOM scan"):
        in_memory.save(tmp_path / "never", dicom=True)


def test_numbers_that_the_scale_of_the_source_cannot_hold_are_stored_as_hu(
    studies: tuple[Path, Path], tmp_path: Path
) -> None:
    volume = read_volume(studies[0])
    bright = replace(volume, data=volume.data + 32000.0)
    write_series(bright, tmp_path / "moved", source=volume.source, place=volume.source)
    made = pydicom.dcmread(tmp_path / "moved" / "0001.dcm")
    assert (made.RescaleSlope, made.RescaleIntercept) == (1, 0)
    torch.testing.assert_close(read_volume(tmp_path / "moved").data, bright.data.clamp(max=32767.0))


@pytest.mark.parametrize("signs", [(1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, 1.0, -1.0)])
def test_an_oblique_or_feet_first_stack_is_written_where_it_lies(
    signs: tuple[float, float, float], studies: tuple[Path, Path], tmp_path: Path
) -> None:
    grid = grid_from_directions(rotation((1.0, 2.0, -0.5), 25.0) @ signed_axes(*signs), shape=(5, 9, 8))
    volume = Volume(data=torch.randint(-900, 900, (1, *grid.shape)).float(), grid=grid)
    source = read_volume(studies[0]).source
    write_series(volume, tmp_path / "moved", source=source, place=source)
    found = read_volume(tmp_path / "moved")
    corner = found.grid.to_index(grid.to_world(torch.zeros(1, 3, dtype=torch.float64)))
    first, _, _ = corner.round().long()[0].tolist()
    assert float((corner - corner.round()).abs().max()) < 1e-6
    torch.testing.assert_close(found.data[0, first], volume.data[0, 0])


def test_nothing_of_a_patient_enters_record_matches_or_log_unless_asked_to(
    studies: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_known_session(monkeypatch, known_answer)
    with caplog.at_level(logging.DEBUG):
        register_files(*studies, tmp_path / "out", settings=RegisterSettings())
    texts = [caplog.text, *((tmp_path / "out" / name).read_text() for name in ("run.json", "matches.csv"))]
    # A letter alone, as the sex is, stands in every text.
    assert not [value for value in PATIENT.values() for text in texts if len(value) > 1 and value in text]
    kept = register_files(*studies, tmp_path / "kept", settings=RegisterSettings(keep_patient=True)).record
    assert (kept.fixed.patient["PatientID"], kept.moving.patient["StudyDate"]) == (PATIENT["PatientID"], "20260102")
    assert PATIENT["PatientName"] in (tmp_path / "kept" / "run.json").read_text()
    assert RunFolder(tmp_path / "kept").read_record() == kept
