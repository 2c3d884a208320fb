"""Images in memory keep their numbers, their place and their kind."""

from inspect import unwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import every_grid
from samereg.errors import GeometryError, InputError, UsageError
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_volume, write_volume
from samereg.io.memory import ImageLike, of_kind, to_labels, to_volume

RAS = np.diag([2.0, 3.0, 4.0, 1.0])
KINDS = ("SimpleITK", "nibabel", "array")


def numbers(grid: Grid) -> Volume:
    data = torch.arange(grid.size, dtype=torch.float32).reshape(1, *grid.shape) - 1000
    return Volume(data=data, grid=grid)


def example(kind: str) -> ImageLike:
    array = np.zeros((4, 5, 6), dtype=np.int16)
    images: dict[str, ImageLike] = {
        "SimpleITK": sitk.GetImageFromArray(array),
        "nibabel": nib.Nifti1Image(array, RAS),
        "array": (array, RAS),
    }
    return images[kind]


@every_grid
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_changes_nothing(kind: str, grid: Grid) -> None:
    volume = numbers(grid)
    back = to_volume(of_kind(volume, example(kind)))
    assert torch.equal(back.data, volume.data)
    assert back.grid.is_close(grid)
    assert back.stored_dtype == "int16"


@every_grid
def test_both_libraries_and_a_file_agree_on_the_place(grid: Grid, tmp_path: Path) -> None:
    folder = tmp_path
    write_volume(numbers(grid), folder / "scan.nii.gz")
    from_file = read_volume(folder / "scan.nii.gz")
    itk = to_volume(sitk.ReadImage(str(folder / "scan.nii.gz")))
    loaded = nib.load(folder / "scan.nii.gz")
    for found in (itk, to_volume(loaded), to_volume((np.asarray(loaded.dataobj), loaded.affine))):
        assert found.grid.is_close(from_file.grid)
        assert torch.equal(found.data, from_file.data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_comes_back(kind: str) -> None:
    given = example(kind)
    returned = of_kind(to_volume(given), given)
    assert type(returned) is type(given)
    labels = of_kind(to_labels(given), given)
    assert type(labels) is type(given)


def test_nibabel_classes_are_kept_and_their_data_types_too() -> None:
    given = nib.Nifti2Image(np.zeros((4, 5, 6), dtype=np.int32), RAS)
    returned = of_kind(to_volume(given), given)
    assert type(returned) is nib.Nifti2Image
    assert returned.get_data_dtype() == np.int32


def test_a_path_stands_for_the_values_of_the_project() -> None:
    volume = numbers(axis_aligned_grid((2, 3, 4)))
    assert of_kind(volume, "scan.nii.gz") is volume
    assert to_volume(volume) is volume


def test_an_array_is_indexed_as_nibabel_does() -> None:
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    volume = to_volume((array, RAS))
    assert float(volume.data[0, 5, 4, 3]) == array[3, 4, 5]
    assert volume.grid.to_world(torch.tensor([5.0, 4.0, 3.0])).tolist() == [-6.0, -12.0, 20.0]


def test_the_caller_s_array_is_not_shared() -> None:
    array = np.zeros((4, 5, 6), dtype=np.float32)
    to_volume((array, RAS)).data.fill_(7.0)
    assert float(array.max()) == 0.0


def test_numbers_are_rounded_into_a_whole_number_type() -> None:
    volume = Volume(data=torch.full((1, 2, 3, 4), 0.6), grid=axis_aligned_grid((2, 3, 4)))
    array, _ = of_kind(volume, (np.zeros((2, 2, 2)), RAS))  # type: ignore[misc]
    assert np.asarray(array).dtype == np.int16
    assert np.asarray(array).max() == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ((np.zeros((4, 5), np.int16), RAS), "the scan.*2-D"),
        ((np.zeros((4, 5, 6), np.int16), np.eye(3)), "the scan.*4 x 4"),
        ((np.full((4, 5, 6), np.nan), RAS), "the scan.*NaN"),
        ((np.zeros((4, 5, 6), np.complex64), RAS), "the scan.*complex64"),
        ((np.zeros((4, 5, 6), np.int16), np.diag([2.0, 0.0, 2.0, 1.0])), "the scan.*spacing"),
        (sitk.Image([4, 5, 6], sitk.sitkVectorFloat32, 3), "the scan.*3 numbers per voxel"),
    ],
)
def test_what_is_no_scan_is_refused_by_name(image: ImageLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_volume(image, name="the scan")


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(UsageError, match="is a list; need a path, a SimpleITK or nibabel image"):
        unwrap(to_volume)([1, 2, 3])  # what type checking of calls, which only tests do, lets through


def test_fractions_are_no_labels() -> None:
    with pytest.raises(InputError, match="fractions"):
        to_labels((np.full((4, 5, 6), 0.5), RAS))


def test_labels_too_large_for_their_type_are_refused() -> None:
    grid = axis_aligned_grid((2, 3, 4))
    labels = LabelMap(data=torch.full(grid.shape, 300), grid=grid, stored_dtype="uint8")
    with pytest.raises(InputError, match="300"):
        of_kind(labels, (np.zeros((2, 2, 2)), RAS))


def test_a_grid_that_cannot_be_used_is_refused() -> None:
    sheared = RAS.copy()
    sheared[0, 1] = 2.0
    with pytest.raises(GeometryError, match=r"the scan.*sheared"):
        to_volume((np.zeros((4, 5, 6), np.int16), sheared), name="the scan")
