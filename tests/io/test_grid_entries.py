"""Header entries that depend on the grid follow the grid; the others stay as they are."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.channels import ChannelImage, write_channels
from samereg.io.images import write_labels, write_volume

NEW = axis_aligned_grid((7, 8, 9), (2.0, 2.0, 2.0))
STAYS = {
    "Segment0_Name": "liver",
    "Segment0_Color": "0.5 0.2 0.1",
    "Segment0_ID": "Segment_1",
    "Segment0_LabelValue": "3",
    "Segment0_Layer": "0",
    "Segment1_Name": "spleen",
    "Segment1_LabelValue": "4",
    "Segment1_Layer": "0",
    "Segmentation_MasterRepresentation": "Binary labelmap",
    "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
    "Site": "Utrecht",
}
OF_GRID = {
    "Segment0_Extent": "0 99 0 99 0 99",
    "Segment1_Extent": "50 99 0 99 0 99",
    "Segmentation_ReferenceImageExtentOffset": "12 13 14",
    "Segmentation_ConversionParameters": (
        "Collapse labelmaps|1|Merge the labelmaps&Reference image geometry|1;0;0;0;0;99;0;99;0;99;|Image geometry&"
        "Smoothing factor|-0.5|Smoothing&"
    ),
}
COPIED = {"0020|0032": "1\\2\\3", "DICOM.ImageOrientationPatient": "1 0 0", "PixelSpacing": "9 9", "(0018,0050)": "5"}


def old_file(path: Path, entries: dict[str, str], *, layers: int = 1) -> Path:
    array = np.zeros((5, 5, 5, layers) if layers > 1 else (5, 5, 5), np.uint8)
    image = sitk.GetImageFromArray(array, isVector=layers > 1)
    for name, text in entries.items():
        image.SetMetaData(name, text)
    sitk.WriteImage(image, str(path))
    return path


def entries_of(path: Path) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return {name: reader.GetMetaData(name) for name in reader.GetMetaDataKeys()}


def labels_on(grid: Grid) -> torch.Tensor:
    data = torch.zeros(grid.shape, dtype=torch.int64)
    data[1:4, 2:6, 3:5] = 3
    return data


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".mha"])
def test_entries_of_a_segmentation_follow_its_new_grid(suffix: str, tmp_path: Path) -> None:
    like = old_file(tmp_path / f"old{suffix}", STAYS | OF_GRID | COPIED)
    labels = LabelMap(data=labels_on(NEW), grid=NEW, stored_dtype="uint8")
    write_labels(labels, tmp_path / f"new{suffix}", like=like)
    found = entries_of(tmp_path / f"new{suffix}")
    assert {name: found.get(name) for name in STAYS} == STAYS
    assert found["Segment0_Extent"] == "3 4 2 5 1 3"
    assert found["Segment1_Extent"] == "0 -1 0 -1 0 -1"
    assert found["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert found["Segmentation_ConversionParameters"] == (
        "Collapse labelmaps|1|Merge the labelmaps&Smoothing factor|-0.5|Smoothing&"
    )
    assert not set(COPIED) & set(found)


def test_each_layer_of_a_segmentation_has_its_own_extents(tmp_path: Path) -> None:
    entries = STAYS | OF_GRID | {"Segment1_Layer": "1"}
    like = old_file(tmp_path / "old.seg.nrrd", entries, layers=2)
    array = np.zeros((2, *NEW.shape), np.uint8)
    array[0, 1, 2, 3] = 3
    array[1, 4:6, 5, 6] = 4
    write_channels(ChannelImage(array=array, grid=NEW, layout="vectors"), tmp_path / "new.seg.nrrd", like=like)
    found = entries_of(tmp_path / "new.seg.nrrd")
    assert (found["Segment0_Extent"], found["Segment1_Extent"]) == ("3 3 2 2 1 1", "6 6 5 5 4 5")
    assert found["Segment1_Layer"] == "1"


def test_segments_of_old_files_are_ones_in_layers_of_their_own(tmp_path: Path) -> None:
    entries = {"Segment0_Extent": "0 9 0 9 0 9", "Segment1_Extent": "0 9 0 9 0 9", "Segment2_Extent": "0 9 0 9 0 9"}
    like = old_file(tmp_path / "old.nrrd", entries, layers=2)
    array = np.zeros((2, *NEW.shape), np.uint8)
    array[1, 4:6, 5, 6] = 1
    write_channels(ChannelImage(array=array, grid=NEW, layout="vectors"), tmp_path / "new.nrrd", like=like)
    found = entries_of(tmp_path / "new.nrrd")
    assert (found["Segment0_Extent"], found["Segment1_Extent"]) == ("0 -1 0 -1 0 -1", "6 6 5 5 4 5")
    assert "Segment2_Extent" not in found


def test_extents_of_fractions_are_dropped(tmp_path: Path) -> None:
    entries = {"Segment0_Extent": "0 9 0 9 0 9", "Segmentation_SourceRepresentation": "Fractional labelmap"}
    like = old_file(tmp_path / "old.nrrd", entries)
    write_labels(LabelMap(data=labels_on(NEW), grid=NEW), tmp_path / "new.nrrd", like=like)
    assert "Segment0_Extent" not in entries_of(tmp_path / "new.nrrd")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_keeps_no_entry_of_the_old_grid(suffix: str, tmp_path: Path) -> None:
    old = nib.Nifti1Image(np.zeros((5, 5, 5, 2), np.int16), np.diag([9.0, 9.0, 9.0, 1.0]))
    old.header.set_dim_info(0, 1, 2)
    old.header["slice_end"], old.header["slice_duration"], old.header["toffset"] = 4, 7.0, 3.0
    old.header["descrip"] = b"a phantom"
    old.set_sform(old.affine, 4)
    old.set_qform(old.affine, 2)
    old.header.set_xyzt_units("meter")
    nib.save(old, tmp_path / f"old{suffix}")
    like, path = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    series = ChannelImage(array=np.zeros((2, *NEW.shape), np.int16), grid=NEW, layout="series")
    volume = Volume(data=torch.zeros(1, *NEW.shape), grid=NEW)
    for write in (
        lambda: write_channels(series, path, like=like),
        lambda: write_volume(volume, path, like=like),
    ):
        write()
        header = nib.load(path).header
        assert header.get_zooms()[:3] == (2.0, 2.0, 2.0)
        assert header.get_xyzt_units()[0] == "mm"
        assert (int(header["slice_end"]), float(header["slice_duration"]), float(header["toffset"])) == (0, 0.0, 0.0)
        assert header.get_dim_info() == (None, None, None)
        assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
        assert np.allclose(header.get_sform(), header.get_qform())
    assert header["descrip"].item() == b"a phantom"
