"""Formats of transforms say what a file is, how sure that is, and which files belong together."""

from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, rotation, smooth_displacement
from samereg.errors import FileError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.io.images import IMAGE_FORMATS, image_format, name_to_write
from samereg.io.transform_files import (
    FORMATS,
    TRANSFORM_FORMATS,
    gather_transforms,
    recognise_transform,
    write_transform_file,
)
from samereg.io.transform_formats.spaces import Spaces

NOWHERE = Spaces()
TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0), torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))


def write_scan(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(torch.zeros(4, 5, 6).numpy()), str(path))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_a_scan_is_no_transform_and_the_message_says_what_is(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    write_scan(path)
    with pytest.raises(FileError, match=r"scan\S+: has an unknown transform format; .*field: images of displacement"):
        recognise_transform(path)


def test_what_several_tools_write_alike_names_them_with_their_frames(tmp_path: Path) -> None:
    write_transform_file(TURN, tmp_path / "m.mat", format="greedy", spaces=NOWHERE)
    with pytest.raises(UsageError, match=r"niftyreg \(RAS.*greedy \(RAS.*fsl \(.*moving to fixed"):
        recognise_transform(tmp_path / "m.mat")


def test_content_says_more_than_a_name(tmp_path: Path) -> None:
    (tmp_path / "named.txt").write_text("nothing that is known\n")
    write_transform_file(TURN, tmp_path / "elastix.txt", format="elastix", spaces=NOWHERE)
    assert recognise_transform(tmp_path / "named.txt").certainty == "name"
    assert recognise_transform(tmp_path / "elastix.txt").certainty == "declared"


@pytest.mark.parametrize("name", ["t.mhd", "t.h5", "t.txt", "t"])
def test_a_field_is_not_written_under_a_name_that_holds_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"t\S*: has no suffix of a field format; need .*\.nii\.gz"):
        write_transform_file(smooth_displacement(GRIDS["LPS"]), tmp_path / name, format="field", spaces=NOWHERE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "name"), [("ants", "out_"), ("elastix", "t.txt"), ("field", "t.nrrd")])
def test_what_is_written_is_what_the_format_announces_and_what_reading_opens(
    format: str, name: str, tmp_path: Path
) -> None:
    entry = TRANSFORM_FORMATS[format]
    path = tmp_path / name
    files = write_transform_file(chain(smooth_displacement(GRIDS["LPS"]), TURN), path, format=format, spaces=NOWHERE)
    assert {*files} == {*tmp_path.iterdir()}
    assert {*files} <= {path, *entry.side_files(path)}
    assert {*files} - {path} == {*entry.read_with(path)}


def test_elastix_reads_the_stages_before_and_their_fields(tmp_path: Path) -> None:
    write_transform_file(smooth_displacement(GRIDS["LPS"]), tmp_path / "a.txt", format="elastix", spaces=NOWHERE)
    write_transform_file(TURN, tmp_path / "b.txt", format="elastix", spaces=NOWHERE)
    text = (tmp_path / "b.txt").read_text()
    (tmp_path / "b.txt").write_text(text.replace("NoInitialTransform", str(tmp_path / "a.txt")))
    found = TRANSFORM_FORMATS["elastix"].read_with(tmp_path / "b.txt")
    assert found == (tmp_path / "a.txt", tmp_path / "a_field.mha")


def test_files_of_one_transform_are_gathered(tmp_path: Path) -> None:
    write_transform_file(TURN, tmp_path / "TransformParameters.0.txt", format="elastix", spaces=NOWHERE)
    for name in ("TransformParameters.1.txt", "TransformParameters.1.R0.txt"):
        (tmp_path / name).write_bytes((tmp_path / "TransformParameters.0.txt").read_bytes())
    for name in ("x_0GenericAffine.mat", "x_1Warp.nii.gz", "alone.tfm"):
        (tmp_path / name).touch()
    found = {one.stem: [path.name for path in one.files] for one in gather_transforms(sorted(tmp_path.iterdir()))}
    assert found == {
        "x": ["x_1Warp.nii.gz", "x_0GenericAffine.mat"],
        "TransformParameters.1.txt": ["TransformParameters.1.txt"],
        "alone": ["alone.tfm"],
    }


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_no_format_takes_a_file_that_is_not_there(format, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing or empty"):
        recognise_transform(tmp_path / f"none{format.suffixes[0]}", formats=(format,))


@pytest.mark.parametrize(("suffix", "data"), [(".mhd", ".raw"), (".nhdr", ".raw")])
def test_headers_are_read_with_their_voxels_and_written_as_one_file(suffix: str, data: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    write_scan(path)
    entry = image_format(path)
    assert entry in IMAGE_FORMATS
    assert [file.suffix for file in entry.read_with(path)] == [data]
    assert name_to_write(path) == {".mhd": "scan.mha", ".nhdr": "scan.nrrd"}[suffix]


def test_images_that_are_written_keep_their_names_and_others_get_the_first_formats(tmp_path: Path) -> None:
    assert name_to_write(tmp_path / "a.NII") == "a.NII"
    assert name_to_write(tmp_path / "a.b.nrrd") == "a.b.nrrd"
    assert name_to_write(tmp_path / "slice.dcm") == "slice.dcm.nii.gz"
    assert name_to_write(tmp_path) == tmp_path.name + ".nii.gz"
