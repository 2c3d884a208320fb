"""Images of several numbers per voxel keep their layout, type and grid."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, every_grid
from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.io.channels import ChannelImage, has_channels, read_channels, write_channels


def image(grid: Grid, layout: str, dtype: str = "int16") -> ChannelImage:
    numbers = np.random.default_rng(0).integers(-500, 500, (4, *grid.shape)).astype(dtype)
    return ChannelImage(array=numbers, grid=grid, layout=layout, step=2.5 if layout == "series" else 1.0)


@every_grid
@pytest.mark.parametrize("layout", ["series", "vectors"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_channels_come_back_as_they_were(grid: Grid, layout: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    write_channels(image(grid, layout), path, like=path)
    assert has_channels(path)
    again = read_channels(path)
    assert (again.layout, again.array.dtype.name) == (layout, "int16")
    assert again.grid.is_close(grid)
    assert again.step == pytest.approx(2.5 if layout == "series" else 1.0)
    np.testing.assert_array_equal(again.array, image(grid, layout).array)


def test_nibabel_finds_a_series_where_we_put_it(tmp_path: Path) -> None:
    grid = GRIDS["oblique"]
    write_channels(image(grid, "series"), tmp_path / "series.nii.gz", like=tmp_path / "series.nii.gz")
    stored = nib.load(tmp_path / "series.nii.gz")
    assert stored.shape == (*grid.shape[::-1], 4)
    assert stored.header.get_zooms()[3] == pytest.approx(2.5)
    position = torch.from_numpy(stored.affine @ np.array([3.0, 2.0, 1.0, 1.0]))[:3] * torch.tensor([-1.0, -1.0, 1.0])
    torch.testing.assert_close(position, grid.to_world(torch.tensor([1.0, 2.0, 3.0])), atol=1e-3, rtol=0)


def test_single_numbers_have_no_channels(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkInt16), str(tmp_path / "scan.nii.gz"))
    assert not has_channels(tmp_path / "scan.nii.gz")
    assert not has_channels(tmp_path)
    (tmp_path / "bad.nii.gz").write_bytes(b"hello")
    assert not has_channels(tmp_path / "bad.nii.gz")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = image(GRIDS["LPS"], "series", "float32")
    broken.array[1, 2, 3, 4] = np.nan
    write_channels(broken, tmp_path / "bad.nrrd", like=tmp_path / "bad.nrrd")
    with pytest.raises(InputError, match=r"bad\.nrrd: holds"):
        read_channels(tmp_path / "bad.nrrd")
