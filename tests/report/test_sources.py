"""What a report refuses to be made of."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from report.made import Made
from samereg.app.run_folder import RunFolder
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
from samereg.report.sources import ReportPaths, read_label_names, read_sources


def test_everything_is_read_from_the_folder_and_from_where_the_record_says(made: Made) -> None:
    sources = read_sources(RunFolder(made.folder), ReportPaths())
    assert sources.record.seconds == 3.5
    assert sources.fixed.grid.is_close(sources.moved.grid)
    assert len(sources.matches) == 500
    assert (sources.labels, sources.confidence) == (None, None)


def test_a_scan_that_has_moved_is_asked_for_by_its_flag(copied: Made, tmp_path: Path) -> None:
    record = json.loads((copied.folder / "run.json").read_text())
    record["moving"]["path"] = str(tmp_path / "gone.nii.gz")
    (copied.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(FileError, match=r"gone.nii.gz: does not exist any more.*--moving"):
        read_sources(RunFolder(copied.folder), ReportPaths())
    assert read_sources(RunFolder(copied.folder), ReportPaths(moving=copied.moving)).moving.grid.shape == (48, 40, 56)


def test_another_scan_than_the_registered_one_is_refused(made: Made) -> None:
    with pytest.raises(InputError, match=r"moving.nii.gz: is not the fixed scan that was registered"):
        read_sources(RunFolder(made.folder), ReportPaths(fixed=made.moving))


def test_a_scan_from_memory_is_asked_for_and_needs_the_right_size(copied: Made, tmp_path: Path) -> None:
    record = json.loads((copied.folder / "run.json").read_text())
    record["fixed"].update(path=None, sha256=None)
    (copied.folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(FileError, match=r"fixed scan was registered from memory.*--fixed"):
        read_sources(RunFolder(copied.folder), ReportPaths())
    assert len(read_sources(RunFolder(copied.folder), ReportPaths(fixed=copied.fixed)).matches) == 500
    scan = read_volume(copied.fixed)
    smaller = Volume(data=scan.data[:, :40], grid=type(scan.grid)(shape=(40, 40, 56), affine=scan.grid.affine))
    write_volume(smaller, tmp_path / "smaller.nii.gz")
    with pytest.raises(InputError, match=r"smaller.nii.gz: has \(40, 40, 56\) voxels"):
        read_sources(RunFolder(copied.folder), ReportPaths(fixed=tmp_path / "smaller.nii.gz"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"versions": {}}'])
def test_what_is_no_run_record_is_refused(content: str, copied: Made) -> None:
    (copied.folder / "run.json").write_text(content)
    with pytest.raises(FileError, match=r"run.json: .*need the run.json that samereg register wrote"):
        read_sources(RunFolder(copied.folder), ReportPaths())


def test_a_folder_without_a_registration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"run.json: is missing; need the folder that samereg register wrote"):
        read_sources(RunFolder(tmp_path), ReportPaths())


def test_a_missing_part_is_named(copied: Made) -> None:
    (copied.folder / "inverse.h5").unlink()
    with pytest.raises(FileError, match=r"inverse\.h5"):
        read_sources(RunFolder(copied.folder), ReportPaths())


def test_labels_of_one_scan_alone_are_refused(made: Made) -> None:
    with pytest.raises(UsageError, match="--moving-labels"):
        read_sources(RunFolder(made.folder), ReportPaths(fixed_labels=made.fixed_labels))


def test_a_confidence_volume_is_found(copied: Made) -> None:
    shutil.copy(copied.fixed, copied.folder / "confidence.nii.gz")
    confidence = read_sources(RunFolder(copied.folder), ReportPaths()).confidence
    assert confidence is not None
    assert torch.equal(confidence.data, read_volume(copied.fixed).data)


def test_label_names_come_from_two_columns(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("group,name,value\nlung,left lung,2\nlung,right lung,3\n")
    assert read_label_names(tmp_path / "names.csv") == {2: "left lung", 3: "right lung"}
    (tmp_path / "names.csv").write_text("name,value\nleft lung,two\n")
    with pytest.raises(InputError, match="not a whole number"):
        read_label_names(tmp_path / "names.csv")
