"""`samereg apply`, from files to a file."""

from pathlib import Path

import pytest
import torch

from samereg.app.resampling import apply_file, background_of, choose_interpolation
from samereg.errors import UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.io.images import read_labels, read_volume, write_labels, write_volume
from samereg.io.transforms import write_transform

SHIFT_VOX = 3


@pytest.fixture
def place(small_ct: Volume, small_labels: LabelMap, tmp_path: Path) -> Path:
    """A scan, its labels, and a transform that looks three voxels along x."""
    write_volume(small_ct, tmp_path / "ct.nii.gz")
    write_labels(small_labels, tmp_path / "labels.nii.gz")
    shift_mm = torch.tensor([SHIFT_VOX * small_ct.grid.spacing_mm[2], 0.0, 0.0], dtype=torch.float64)
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)
    write_transform(shift, tmp_path / "shift.h5")
    return tmp_path


def shifted(data: torch.Tensor, outside: float) -> torch.Tensor:
    moved = torch.roll(data, -SHIFT_VOX, dims=-1)
    moved[..., -SHIFT_VOX:] = outside
    return moved


def test_an_image_is_pulled_from_where_the_transform_points(place: Path, small_ct: Volume) -> None:
    record = apply_file(
        place / "shift.h5", place / "ct.nii.gz", place / "out.nii.gz", reference_path=place / "ct.nii.gz"
    )
    moved = read_volume(place / "out.nii.gz")
    assert record.interpolation == "linear"
    assert moved.stored_dtype == "int16"
    assert torch.allclose(moved.data, shifted(small_ct.data, -1024.0), atol=1)


def test_labels_stay_labels(place: Path, small_labels: LabelMap) -> None:
    record = apply_file(
        place / "shift.h5",
        place / "labels.nii.gz",
        place / "out.nii.gz",
        reference_path=place / "ct.nii.gz",
    )
    moved = read_labels(place / "out.nii.gz")
    assert record.interpolation == "nearest"
    assert record.lost_labels == ()
    assert moved.stored_dtype == "uint8"
    assert torch.equal(moved.data, shifted(small_labels.data, 0))


def test_labels_that_are_lost_are_named(place: Path) -> None:
    half = axis_aligned_grid((48, 40, 28), (5.0, 5.0, 5.0), (-170.0, -100.0, -120.0))
    write_labels(LabelMap(data=torch.zeros(half.shape, dtype=torch.int64), grid=half), place / "half.nii.gz")
    record = apply_file(
        place / "shift.h5",
        place / "labels.nii.gz",
        place / "out.nii.gz",
        reference_path=place / "half.nii.gz",
        interpolation="label-linear",
    )
    assert record.lost_labels == (3,)


def test_nearest_of_a_negative_image_invents_no_value(place: Path, small_ct: Volume) -> None:
    apply_file(
        place / "shift.h5",
        place / "ct.nii.gz",
        place / "out.nii.gz",
        reference_path=place / "ct.nii.gz",
        interpolation="nearest",
    )
    moved = read_volume(place / "out.nii.gz").data
    assert set(moved.unique().tolist()) <= {*small_ct.data.unique().tolist(), -1024.0}


def test_an_output_that_exists_is_kept_unless_overwritten(place: Path) -> None:
    (place / "out.nii.gz").write_bytes(b"precious")
    names = (place / "shift.h5", place / "ct.nii.gz", place / "out.nii.gz")
    with pytest.raises(UsageError, match="--overwrite"):
        apply_file(*names, reference_path=place / "ct.nii.gz")
    assert (place / "out.nii.gz").read_bytes() == b"precious"
    apply_file(*names, reference_path=place / "ct.nii.gz", overwrite=True)
    assert (place / "out.nii.gz").read_bytes() != b"precious"


def test_the_folder_of_the_output_is_made(place: Path) -> None:
    output = place / "new" / "out.nii.gz"
    apply_file(place / "shift.h5", place / "ct.nii.gz", output, reference_path=place / "ct.nii.gz")
    assert output.is_file()


@pytest.mark.parametrize(
    ("values", "dtype", "chosen"),
    [
        ([0, 1, 2, 35], "uint8", "nearest"),
        ([0, 1, 2, 35], "int16", "nearest"),
        ([-1024, 0, 40, 300], "int16", "linear"),
        ([0, 1, 2, 35], "float32", "linear"),
        (list(range(300)), "uint16", "linear"),
    ],
)
def test_interpolation_follows_what_the_numbers_mean(values: list[int], dtype: str, chosen: str) -> None:
    assert choose_interpolation(image(values, dtype)) == chosen


def test_background_means_nothing_measured() -> None:
    assert background_of(image([-1000, 0, 40], "int16")) == -1024.0
    assert background_of(image([0, 3, 40], "float32")) == 0.0


def image(values: list[int], dtype: str) -> Volume:
    grid = axis_aligned_grid((1, 1, len(values)), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    return Volume(data=torch.tensor(values).float().view(1, 1, 1, -1), grid=grid, stored_dtype=dtype)
