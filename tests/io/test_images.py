"""Volumes and label maps survive their files, and bad files are refused by name."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, every_grid, grid_from_directions, signed_axes
from samereg.errors import FileError, GeometryError, InputError, SameregError, UsageError
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, read_volume, write_labels, write_volume

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def random_volume(grid: Grid, *, stored_dtype: str = "int16") -> Volume:
    generator = torch.Generator().manual_seed(0)
    data = torch.randint(-1024, 2000, (1, *grid.shape), generator=generator).float()
    return Volume(data=data, grid=grid, stored_dtype=stored_dtype)


def written(path: Path, array: np.ndarray[Any, Any], *, spacing: float = 4.0, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    image.SetSpacing([spacing] * image.GetDimension())
    sitk.WriteImage(image, str(path))
    return path


@every_grid
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_volume_comes_back_as_it_was(grid: Grid, suffix: str, tmp_path: Path) -> None:
    volume = random_volume(grid)
    write_volume(volume, tmp_path / f"scan{suffix}")
    again = read_volume(tmp_path / f"scan{suffix}")
    assert again.grid.is_close(grid)
    assert again.data.dtype == torch.float32
    assert torch.equal(again.data, volume.data)
    assert (again.stored_dtype, again.background) == ("int16", -1024.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
def test_a_label_map_comes_back_as_it_was(suffix: str, dtype: str, tmp_path: Path) -> None:
    grid = GRIDS["oblique"]
    data = torch.randint(0, 36, grid.shape, generator=torch.Generator().manual_seed(0))
    write_labels(LabelMap(data=data, grid=grid, stored_dtype=dtype), tmp_path / f"labels{suffix}")
    again = read_labels(tmp_path / f"labels{suffix}")
    assert again.grid.is_close(grid)
    assert torch.equal(again.data, data)
    assert again.stored_dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64", "float32", "float64"])
def test_the_stored_type_is_kept(dtype: str, tmp_path: Path) -> None:
    grid = axis_aligned_grid((3, 4, 5))
    data = torch.arange(60).reshape(1, 3, 4, 5).float()
    for suffix in SUFFIXES:
        write_volume(Volume(data=data, grid=grid, stored_dtype=dtype), tmp_path / f"scan{suffix}")
        again = read_volume(tmp_path / f"scan{suffix}")
        assert again.stored_dtype == dtype
        assert torch.equal(again.data, data)


def test_whole_number_types_are_rounded_and_clipped(tmp_path: Path) -> None:
    data = torch.tensor([-40000.0, -1.6, 0.4, 40000.0]).reshape(1, 1, 1, 4).expand(1, 2, 2, 4)
    for dtype, expected in (
        ("int16", [-32768, -2, 0, 32767]),
        ("uint8", [0, 0, 0, 255]),
        ("uint64", [0, 0, 0, 40000]),
    ):
        volume = Volume(data=data, grid=axis_aligned_grid((2, 2, 4)), stored_dtype=dtype)
        write_volume(volume, tmp_path / "scan.nii")
        assert read_volume(tmp_path / "scan.nii").data[0, 0, 0].tolist() == expected


def test_numbers_beyond_a_type_end_at_its_limits(tmp_path: Path) -> None:
    data = torch.full((1, 2, 2, 2), 1e30)
    for dtype in ("int32", "int64", "uint64"):
        write_volume(Volume(data=data, grid=axis_aligned_grid((2, 2, 2)), stored_dtype=dtype), tmp_path / "a.nii")
        assert float(read_volume(tmp_path / "a.nii").data.min()) >= 2.0**31 - 1.0


def test_equal_volumes_make_equal_files(tmp_path: Path) -> None:
    volume = random_volume(GRIDS["RAS"])
    (tmp_path / "later").mkdir()
    for folder in (tmp_path, tmp_path / "later"):
        write_volume(volume, folder / "scan.nii.gz")
    assert (tmp_path / "scan.nii.gz").read_bytes() == (tmp_path / "later" / "scan.nii.gz").read_bytes()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    labels = LabelMap(data=torch.full((2, 2, 2), 300), grid=axis_aligned_grid((2, 2, 2)))
    with pytest.raises(InputError, match=r"labels\.nii: cannot hold labels up to 300 as uint8"):
        write_labels(labels, tmp_path / "labels.nii")
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_stored_as_real_ones_are_labels_and_fractions_are_not(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.nii.gz", np.full((3, 3, 3), 7.0, np.float32))
    labels = read_labels(path)
    assert (int(labels.data.max()), labels.stored_dtype) == (7, "float32")
    written(path, np.full((3, 3, 3), 7.5, np.float32))
    with pytest.raises(InputError, match="holds fractions; need a label map"):
        read_labels(path)


def test_big_label_values_are_exact(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.mha", np.full((3, 3, 3), 2**24 + 1, np.int32))
    assert int(read_labels(path).data.max()) == 2**24 + 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_voxels_that_are_no_numbers_are_counted(suffix: str, value: float, tmp_path: Path) -> None:
    array = np.zeros((4, 4, 4))
    array[1, 2, 3] = array[0, 0, 0] = value
    path = written(tmp_path / f"scan{suffix}", array)
    with pytest.raises(InputError, match=r"scan\S+: holds 2 voxels that are NaN or infinite"):
        read_volume(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    write_volume(random_volume(GRIDS["LPS"]), path)
    content = path.read_bytes()
    for share in (0.02, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(FileError, match=r"scan\S+: "):
            read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_truncated_uncompressed_voxels_are_refused(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"scan{suffix}", np.zeros((20, 20, 20), np.int16))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match=r"scan\S+: "):
        read_volume(path)


def test_flipped_bytes_in_compressed_voxels_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_volume(random_volume(GRIDS["LPS"]), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileError, match="truncated or damaged"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".nhdr", ".mhd", ".png", ".txt", ""])
def test_other_bytes_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    for content in (b"", b"hello", np.random.default_rng(0).bytes(4000), gzip.compress(b"hello")):
        path.write_bytes(content)
        with pytest.raises(FileError, match="scan"):
            read_volume(path)
        with pytest.raises(FileError, match="scan"):
            read_labels(path)


def test_missing_files_and_folders_without_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.nii: does not exist"):
        read_volume(tmp_path / "none.nii")
    with pytest.raises(FileError, match="holds no DICOM images"):
        read_volume(tmp_path)
    with pytest.raises(FileError, match="is not a file"):
        read_labels(tmp_path)


def test_a_series_of_a_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "scan.mha", np.zeros((4, 4, 4), np.int16))
    with pytest.raises(UsageError, match="a series can be chosen only from a folder"):
        read_volume(path, series="1.2.3")


@pytest.mark.parametrize(
    ("array", "is_vector", "sentence"),
    [
        (np.zeros((6, 6), np.int16), False, r"is 2-D \(6 x 6 voxels\)"),
        (np.zeros((2, 6, 6, 6), np.int16), False, r"is 4-D \(6 x 6 x 6 x 2 voxels\)"),
        (np.zeros((6, 6, 6, 3), np.float32), True, "(holds 3 numbers per voxel|is 5-D)"),
        (np.zeros((6, 6, 6), np.complex64), False, "holds (voxels of type complex|2 numbers per voxel)"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_what_is_not_one_volume_of_numbers_is_refused(
    array: np.ndarray[Any, Any], is_vector: bool, sentence: str, suffix: str, tmp_path: Path
) -> None:
    try:
        path = written(tmp_path / f"scan{suffix}", array, is_vector=is_vector)
    except RuntimeError:
        pytest.skip(f"ITK writes no such {suffix}")
    with pytest.raises(InputError, match=rf"scan{suffix}: {sentence}"):
        read_volume(path)


def test_colours_are_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((6, 6, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "scan.nii"))
    with pytest.raises(InputError, match=r"scan\.nii: "):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
def test_a_fourth_axis_of_one_is_dropped(suffix: str, tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    volume = read_volume(written(tmp_path / f"scan{suffix}", array))
    assert torch.equal(volume.data, torch.from_numpy(array).float())
    assert volume.grid.spacing_mm == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("spacing", ["0 4 4", "-4 4 4", "nan 4 4", "1e30 4 4", "1e-30 4 4"])
def test_spacing_that_is_no_spacing_is_refused(spacing: str, tmp_path: Path) -> None:
    path = written(tmp_path / "scan.mha", np.zeros((8, 8, 8), np.int16))
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 4 4 4", f"ElementSpacing = {spacing}".encode()))
    with pytest.raises(InputError, match=r"scan\.mha: "):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_shear_is_refused(suffix: str, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((8, 8, 8), np.int16))
    image.SetDirection([1.0, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    sitk.WriteImage(image, str(tmp_path / f"scan{suffix}"))
    with pytest.raises(GeometryError, match=r"scan\S+: is sheared by 1\d\.\d degrees"):
        read_volume(tmp_path / f"scan{suffix}")


def test_a_sheared_grid_is_not_written(tmp_path: Path) -> None:
    directions = signed_axes(1.0, 1.0, 1.0)
    directions[1, 0] = 0.2
    grid = grid_from_directions(directions)
    with pytest.raises(GeometryError, match=r"out\.nii: is sheared"):
        write_volume(random_volume(grid), tmp_path / "out.nii")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.txt", "out", "out.mhd", "out.nhdr", "out.dcm"])
def test_formats_that_are_not_written_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{name}: has a suffix that cannot be written"):
        write_volume(random_volume(axis_aligned_grid((2, 2, 2))), tmp_path / name)


def test_several_channels_are_not_written(tmp_path: Path) -> None:
    volume = Volume(data=torch.zeros(2, 3, 3, 3), grid=axis_aligned_grid((3, 3, 3)))
    with pytest.raises(GeometryError, match="2 channels"):
        write_volume(volume, tmp_path / "out.nii")


def refusal(path: Path) -> str | None:
    """The sentence with which a file is refused, or None if it is read."""
    try:
        read_volume(path)
    except SameregError as error:
        return str(error)
    return None


def test_damaged_headers_end_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    write_volume(random_volume(axis_aligned_grid((6, 6, 6))), path)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    sentences = []
    for _ in range(200):
        damaged = bytearray(content)
        for place in random.integers(4, 348, 12):
            damaged[place] = int(random.integers(256))
        path.write_bytes(damaged)
        sentences.append(refusal(path))
    refused = [sentence for sentence in sentences if sentence]
    assert len(refused) > 100
    assert all(sentence.startswith(str(path)) for sentence in refused)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_damaged_text_headers_end_in_a_sentence(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"scan{suffix}", np.zeros((6, 6, 6), np.int16))
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content)
        for place in random.integers(0, 250, 6):
            damaged[place] = int(random.integers(32, 127))
        path.write_bytes(damaged)
        assert (refusal(path) or str(path)).startswith(str(path))


def test_a_path_may_be_text(tmp_path: Path) -> None:
    grid = axis_aligned_grid((4, 5, 6))
    volume = Volume(data=torch.arange(120.0).reshape(1, 4, 5, 6), grid=grid)
    labels = LabelMap(data=torch.arange(120).reshape(4, 5, 6), grid=grid)
    write_volume(volume, str(tmp_path / "scan.nii.gz"))
    write_labels(labels, str(tmp_path / "labels.nii.gz"))
    assert torch.equal(read_volume(str(tmp_path / "scan.nii.gz")).data, volume.data)
    assert torch.equal(read_labels(str(tmp_path / "labels.nii.gz")).data, labels.data)
