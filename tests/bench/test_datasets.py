import json
from dataclasses import replace

import pytest
import SimpleITK

from samereg.bench.dataset import Dataset, Scan
from samereg.bench.landmarks import read_landmarks
from samereg.bench.phantom_dataset import PhantomProtocol, make_phantom_dataset
from samereg.bench.read_learn2reg import read_learn2reg
from samereg.bench.read_manifest import read_manifest
from samereg.errors import FileError, InputError


def test_a_manifest_names_scans_pairs_and_structures(small_dataset):
    assert small_dataset.tasks == ("near", "far")
    assert [case.name for case in small_dataset.cases][:2] == ["one__two", "two__one"]
    assert small_dataset.structure(2).group == "lung"
    assert small_dataset.structure(77).name == "77"


def test_some_sets_can_be_chosen(small_dataset):
    assert len(small_dataset.only(("near",)).cases) == 2
    with pytest.raises(InputError, match="near, far"):
        small_dataset.only(("neer",))


def test_a_pair_of_an_unknown_scan_is_named(small_folder, tmp_path):
    for name in ("manifest.csv", "labels.csv"):
        (tmp_path / name).write_text((small_folder / name).read_text().replace("one.nii", f"{small_folder}/one.nii"))
    (tmp_path / "pairs.csv").write_text("fixed,moving\none,nobody\n")
    with pytest.raises(InputError, match=r"line 2 names 'nobody'"):
        read_manifest(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "manifest.csv").write_text("id,image\na,a.nii.gz\n")
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,a\n")
    with pytest.raises(FileError, match=r"a\.nii\.gz: does not exist"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "id\nx\n", "name,image\nx,y\n"])
def test_a_table_without_its_columns_is_refused(tmp_path, text):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match="need the columns id, image"):
        read_manifest(tmp_path)


def test_reads_what_learn2reg_hands_out(small_folder, tmp_path):
    for part, suffix in (("imagesTr", ""), ("labelsTr", "-labels")):
        (tmp_path / part).mkdir()
        for name in ("one", "two"):
            (tmp_path / part / f"{name}.nii.gz").write_bytes((small_folder / f"{name}{suffix}.nii.gz").read_bytes())
    pair = {"fixed": "./imagesTr/one.nii.gz", "moving": "./imagesTr/two.nii.gz"}
    contents = {
        "name": "Bodies",
        "registration_val": [pair],
        "labels": {"0": {"0": "background", "1": "trunk", "2": "left lung"}},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(contents))
    dataset = read_learn2reg(tmp_path)
    assert (dataset.name, dataset.tasks, dataset.cases[0].name) == ("Bodies", ("val",), "one__two")
    assert dataset.cases[0].moving.labels == tmp_path / "labelsTr" / "two.nii.gz"
    assert dataset.structure(2).name == "left lung"


def learn2reg_folder(small_folder, folder, points):
    """Two scans of Learn2Reg with keypoints; each entry of `points` is the text of one file."""
    for part in ("imagesTr", "keypointsTr"):
        (folder / part).mkdir()
    for name, text in zip(("one", "two"), points, strict=True):
        (folder / "imagesTr" / f"{name}.nii.gz").write_bytes((small_folder / f"{name}.nii.gz").read_bytes())
        (folder / "keypointsTr" / f"{name}.csv").write_text(text)
    pair = {"fixed": "./imagesTr/one.nii.gz", "moving": "./imagesTr/two.nii.gz"}
    (folder / "dataset.json").write_text(json.dumps({"name": "Points", "registration_val": [pair]}))
    case = read_learn2reg(folder).cases[0]
    return [(scan.landmarks, scan) for scan in (case.fixed, case.moving)]


def test_keypoints_of_learn2reg_are_voxels_as_nifti_counts_them(small_folder, tmp_path):
    files = learn2reg_folder(small_folder, tmp_path, ("1,2,3\n4.5,0,1\n", "0,0,0\n1,1,1\n"))
    for (path, scan), found in zip(files, read_landmarks(*files), strict=True):
        image = SimpleITK.ReadImage(str(scan.image))
        rows = [[float(cell) for cell in row.split(",")] for row in path.read_text().split()]
        for row, place in zip(rows, found.values(), strict=True):
            assert place == pytest.approx(image.TransformContinuousIndexToPhysicalPoint(row), abs=1e-3)


def test_landmarks_without_names_have_to_be_as_many(small_folder, tmp_path):
    files = learn2reg_folder(small_folder, tmp_path, ("1,2,3\n4,5,6\n", "0,0,0\n"))
    with pytest.raises(InputError, match=r"two\.csv: holds 1 landmarks, .*one\.csv 2; need as many"):
        read_landmarks(*files)


def test_named_landmarks_belong_together_by_name_in_any_format(small_folder, tmp_path):
    (tmp_path / "one.csv").write_text("name,x,y,z\nA,1,2,3\nB,4,5,6\n")
    (tmp_path / "two.fcsv").write_text(
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = id,x,y,z,ow,ox,oy,oz,vis,"
        "sel,lock,label,desc,associatedNodeID\n1,7,8,9,0,0,0,1,1,1,0,B,,\n"
    )
    scans = [Scan(name=name, image=small_folder / f"{name}.nii.gz") for name in ("one", "two")]
    fixed, moving = read_landmarks((tmp_path / "one.csv", scans[0]), (tmp_path / "two.fcsv", scans[1]))
    assert fixed == {"A": (1.0, 2.0, 3.0), "B": (4.0, 5.0, 6.0)}
    assert moving == {"B": (7.0, 8.0, 9.0)}


def test_blank_labels_are_no_names(small_folder, tmp_path):
    (tmp_path / "one.csv").write_text("label,x,y,z\n,1,2,3\n,4,5,6\n")
    listed = tmp_path / "one.csv", Scan(name="one", image=small_folder / "one.nii.gz")
    fixed, _ = read_landmarks(listed, listed)
    assert list(fixed.values()) == [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]


def test_a_landmark_named_twice_is_refused(small_folder, tmp_path):
    (tmp_path / "one.csv").write_text("name,x,y,z\nA,1,2,3\nA,4,5,6\n")
    listed = tmp_path / "one.csv", Scan(name="one", image=small_folder / "one.nii.gz")
    with pytest.raises(InputError, match="2 landmarks named 'A'"):
        read_landmarks(listed, listed)


def test_a_learn2reg_listing_without_pairs_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="lists no pairs"):
        read_learn2reg(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(FileError, match="cannot be read as JSON"):
        read_learn2reg(tmp_path)


def test_the_phantom_has_both_tasks_and_is_made_once(tmp_path):
    protocol = PhantomProtocol(subjects=2, spacing_mm=9.0, shape=(32, 24, 34))
    first = make_phantom_dataset(tmp_path / "phantom", protocol)
    again = make_phantom_dataset(tmp_path / "phantom", protocol, on_progress=pytest.fail)
    assert replace(first) == again
    assert isinstance(first, Dataset)
    assert [(case.task, case.name) for case in first.cases] == [
        ("CE-to-CE", "phantom-900-CE__phantom-901-CE"),
        ("CE-to-CE", "phantom-901-CE__phantom-900-CE"),
        ("CE-to-NC", "phantom-900-NC__phantom-901-CE"),
        ("CE-to-NC", "phantom-901-NC__phantom-900-CE"),
    ]
    assert all(scan.image.is_file() and scan.labels.is_file() for case in first.cases for scan in (case.fixed,))
