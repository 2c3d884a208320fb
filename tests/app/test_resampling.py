"""`samereg apply`, from files to a file."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from samereg.app.resampling import ApplySettings, apply_file, apply_files, background_of, choose_interpolation
from samereg.cli.main import main
from samereg.errors import UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import axis_aligned_grid, respaced
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_labels
from samereg.io.channels import ChannelImage, read_channels, write_channels
from samereg.io.images import read_labels, read_volume, write_labels, write_volume
from samereg.io.itk import place_on_grid
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
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
        ([0, 1, 2, 35], "float32", "nearest"),
        ([0.5, 1, 2, 35], "float32", "linear"),
        (list(range(300)), "uint16", "linear"),
    ],
)
def test_interpolation_follows_what_the_numbers_mean(values: list[float], dtype: str, chosen: str) -> None:
    assert choose_interpolation(image(values, dtype)) == chosen


def test_background_means_nothing_measured() -> None:
    assert background_of(image([-1000, 0, 40], "int16")) == -1024.0
    assert background_of(image([0, 3, 40], "float32")) == 0.0


def image(values: list[float], dtype: str) -> Volume:
    grid = axis_aligned_grid((1, 1, len(values)), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    return Volume(data=torch.tensor(values).float().view(1, 1, 1, -1), grid=grid, stored_dtype=dtype)


def test_several_files_go_through_one_transform_into_a_folder(place: Path, small_ct: Volume) -> None:
    settings = ApplySettings(reference=place / "ct.nii.gz")
    inputs = (place / "ct.nii.gz", place / "labels.nii.gz")
    records = apply_files(place / "shift.h5", inputs, place / "out", settings=settings)
    assert [record.interpolation for record in records] == ["linear", "nearest"]
    assert sorted(path.name for path in (place / "out").iterdir()) == ["ct.nii.gz", "labels.nii.gz"]
    moved = read_volume(place / "out" / "ct.nii.gz")
    assert torch.allclose(moved.data, shifted(small_ct.data, -1024.0), atol=1)


@pytest.mark.parametrize("mode", ["cubic", pytest.param("sinc", marks=pytest.mark.slow)])
def test_whole_voxels_are_moved_by_every_kernel_alike(place: Path, small_ct: Volume, mode: str) -> None:
    settings = ApplySettings(reference=place / "ct.nii.gz", interpolation=mode)
    apply_files(place / "shift.h5", (place / "ct.nii.gz",), place / "out.nii.gz", settings=settings)
    moved = read_volume(place / "out.nii.gz").data
    assert torch.allclose(moved[..., :-3], shifted(small_ct.data, -1024.0)[..., :-3], atol=1)


def test_another_spacing_keeps_the_box(place: Path, small_ct: Volume) -> None:
    settings = ApplySettings(reference=place / "ct.nii.gz", spacing_mm=(10.0, 2.5, 5.0))
    apply_files(place / "shift.h5", (place / "ct.nii.gz",), place / "out.nii.gz", settings=settings)
    moved = read_volume(place / "out.nii.gz").grid
    assert moved.shape == (24, 80, 56)
    assert moved.extent_mm == pytest.approx(small_ct.grid.extent_mm)
    assert torch.allclose(moved.centre_mm, small_ct.grid.centre_mm)


def test_without_a_reference_the_field_says_where(place: Path, small_ct: Volume) -> None:
    zero = Displacement(grid=small_ct.grid, data=torch.zeros(3, *small_ct.grid.shape))
    write_transform(zero, place / "zero.h5")
    apply_files(
        place / "zero.h5", (place / "ct.nii.gz",), place / "out.nii.gz", settings=ApplySettings(spacing_mm=(5.0,))
    )
    assert torch.equal(read_volume(place / "out.nii.gz").data, small_ct.data)
    with pytest.raises(UsageError, match="need --reference"):
        apply_files(place / "shift.h5", (place / "ct.nii.gz",), place / "o.nii.gz", settings=ApplySettings())


@pytest.mark.parametrize("layout", ["series", "vectors"])
def test_channels_are_carried_one_by_one(place: Path, small_ct: Volume, layout: str) -> None:
    array = np.stack([small_ct.data[0].numpy().astype(np.int16) + 100 * n for n in range(3)])
    source = place / "many.nrrd"
    write_channels(ChannelImage(array=array, grid=small_ct.grid, layout=layout), source, like=source)
    settings = ApplySettings(reference=place / "ct.nii.gz")
    apply_files(place / "shift.h5", (source,), place / "out.nrrd", settings=settings)
    moved = read_channels(place / "out.nrrd")
    assert (moved.layout, moved.array.dtype.name) == (layout, "int16")
    for number in range(3):
        expected = shifted(torch.from_numpy(array[number].astype(np.float32)), 0.0)[..., :-3]
        assert np.abs(moved.array[number][..., :-3] - expected.numpy()).max() <= 1


def test_what_a_header_describes_is_kept(place: Path, small_labels: LabelMap) -> None:
    stored = nib.load(place / "labels.nii.gz")
    stored.header["descrip"], stored.header["cal_max"] = b"organs of Bob", 3.0
    nib.save(stored, place / "named.nii.gz")
    segments = sitk.GetImageFromArray(small_labels.data.numpy().astype(np.uint8))
    place_on_grid(segments, small_labels.grid)
    segments.SetMetaData("Segment0_Name", "liver")
    sitk.WriteImage(segments, str(place / "named.seg.nrrd"))
    settings = ApplySettings(reference=place / "ct.nii.gz")
    apply_files(
        place / "shift.h5", (place / "named.nii.gz", place / "named.seg.nrrd"), place / "out", settings=settings
    )
    assert nib.load(place / "out" / "named.nii.gz").header["descrip"].item() == b"organs of Bob"
    assert sitk.ReadImage(str(place / "out" / "named.seg.nrrd")).GetMetaData("Segment0_Name") == "liver"


def test_modulation_keeps_the_mass(place: Path, small_ct: Volume) -> None:
    centre = small_ct.grid.centre_mm
    stretch = torch.diag(torch.tensor([1.1, 1.1, 1.1], dtype=torch.float64))
    write_transform(Affine.from_parts(stretch, centre - stretch @ centre), place / "stretch.h5")
    mass = {}
    for modulate in (False, True):
        settings = ApplySettings(reference=place / "ct.nii.gz", interpolation="linear", modulate=modulate)
        apply_files(place / "stretch.h5", (place / "ct.nii.gz",), place / "o.nii.gz", settings=settings, overwrite=True)
        mass[modulate] = float((read_volume(place / "o.nii.gz").data + 1000.0).clamp(min=0.0).sum())
    whole = float((small_ct.data + 1000.0).clamp(min=0.0).sum())
    # The stretched-in body fits into the picture; noise in air is cut at -1000.
    assert mass[True] == pytest.approx(whole, rel=0.01)
    assert mass[False] == pytest.approx(whole / 1.331, rel=0.01)
    with pytest.raises(UsageError, match="cannot multiply"):
        apply_files(
            place / "stretch.h5",
            (place / "labels.nii.gz",),
            place / "l.nii.gz",
            settings=ApplySettings(reference=place / "ct.nii.gz", modulate=True),
        )


def test_labels_of_any_type_number_and_sign_stay_labels(place: Path, small_labels: LabelMap) -> None:
    blocks = torch.arange(8 * 8 * 8, dtype=torch.int64).view(8, 8, 8)
    many = blocks.repeat_interleave(6, 0).repeat_interleave(5, 1).repeat_interleave(7, 2)
    negative = torch.where(small_labels.data == 0, -1, small_labels.data - 1)
    for name, data, dtype in (("many", many, "int32"), ("negative", negative, "int16"), ("real", many, "float64")):
        labels = LabelMap(data=data, grid=small_labels.grid, stored_dtype=dtype)
        write_labels(labels, place / f"{name}.nii.gz")
        half = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([7.3, 2.1, 1.9]).double())
        write_transform(half, place / "half.h5")
        record = apply_file(
            place / "half.h5",
            place / f"{name}.nii.gz",
            place / f"{name}_out.nii.gz",
            reference_path=place / "ct.nii.gz",
        )
        moved = read_labels(place / f"{name}_out.nii.gz")
        outside = -1 if name == "negative" else 0
        assert (record.interpolation, record.background, moved.stored_dtype) == ("nearest", outside, dtype)
        assert set(moved.data.unique().tolist()) <= {*data.unique().tolist(), outside}
        assert torch.equal(moved.data, resample_labels(labels, half, labels.grid, outside=outside).data)


@pytest.mark.parametrize("layout", ["series", "vectors"])
def test_stacks_of_masks_stay_masks(place: Path, small_labels: LabelMap, layout: str) -> None:
    stack = np.stack([(small_labels.data == label).numpy().astype(np.float32) for label in (1, 2, 3)])
    source = place / "stack.nrrd"
    write_channels(ChannelImage(array=stack, grid=small_labels.grid, layout=layout), source, like=source)
    quarter = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([1.25, 0.0, 0.0]).double())
    write_transform(quarter, place / "quarter.h5")
    settings = ApplySettings(reference=place / "ct.nii.gz")
    (record,) = apply_files(place / "quarter.h5", (source,), place / "out.nrrd", settings=settings)
    assert record.interpolation == "nearest"
    assert set(np.unique(read_channels(place / "out.nrrd").array)) == {0.0, 1.0}


def test_a_mask_beside_intensities_is_not_mixed(place: Path, small_ct: Volume, small_labels: LabelMap) -> None:
    stack = np.stack([small_ct.data[0].numpy(), small_labels.data.numpy()]).astype(np.int16)
    source = place / "both.nrrd"
    write_channels(ChannelImage(array=stack, grid=small_ct.grid, layout="vectors"), source, like=source)
    settings = ApplySettings(reference=place / "ct.nii.gz")
    (record,) = apply_files(place / "shift.h5", (source,), place / "out.nrrd", settings=settings)
    assert record.interpolation == "linear and nearest"


def test_inputs_of_one_name_are_refused_before_anything_is_written(place: Path, small_ct: Volume) -> None:
    for folder, name in (("a", "ct.nii.gz"), ("b", "CT.nii.gz"), ("c", "x.mhd"), ("d", "X.mha")):
        (place / folder).mkdir()
        write_volume(small_ct, place / folder / name.replace("mhd", "mha"))
        if name.endswith("mhd"):
            sitk.WriteImage(sitk.ReadImage(str(place / folder / "x.mha")), str(place / folder / name))
    settings = ApplySettings(reference=place / "ct.nii.gz")
    for pair in (("a/ct.nii.gz", "b/CT.nii.gz"), ("c/x.mhd", "d/X.mha")):
        with pytest.raises(UsageError, match="rename one"):
            apply_files(place / "shift.h5", [place / name for name in pair], place / "out", settings=settings)
    assert not (place / "out").exists()


@pytest.mark.parametrize("name", ["shift.h5", "ct.nii.gz", "labels.nii.gz"])
def test_an_input_is_never_written_over(place: Path, name: str) -> None:
    before = (place / name).read_bytes()
    settings = ApplySettings(reference=place / "ct.nii.gz")
    with pytest.raises(UsageError, match="is also an input"):
        apply_files(place / "shift.h5", (place / "labels.nii.gz",), place / name, settings=settings, overwrite=True)
    assert (place / name).read_bytes() == before


def test_a_format_between_two_images_is_read_without_being_named(
    place: Path, small_ct: Volume, capsys: pytest.CaptureFixture[str]
) -> None:
    spaces = Spaces(fixed=small_ct.grid, moving=small_ct.grid)
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([15.0, 0.0, 0.0]).double())
    write_transform_file(shift, place / "disp.npz", spaces=spaces)
    words = ["apply", "-t", str(place / "disp.npz"), "-i", str(place / "ct.nii.gz"), "-o", str(place / "o.nii.gz")]
    assert main([*words, "--spacing", "5"]) == 2
    assert "give -r FIXED" in capsys.readouterr().err
    assert main([*words, "-r", str(place / "ct.nii.gz")]) == 0
    moved = read_volume(place / "o.nii.gz").data
    assert torch.allclose(moved[..., 3:-3], shifted(small_ct.data, -1024.0)[..., 3:-3], atol=1)


def test_inputs_on_different_grids_leave_open_what_voxels_mean(
    place: Path, small_ct: Volume, small_labels: LabelMap, capsys: pytest.CaptureFixture[str]
) -> None:
    write_transform_file(
        Affine.identity(), place / "disp.npz", spaces=Spaces(fixed=small_ct.grid, moving=small_ct.grid)
    )
    half = resample_labels(small_labels, Affine.identity(), respaced(small_labels.grid, (10.0, 10.0, 10.0)))
    write_labels(half, place / "half.nii.gz")
    inputs = [str(place / "ct.nii.gz"), str(place / "half.nii.gz")]
    words = ["apply", "-t", str(place / "disp.npz"), "-r", inputs[0], "-o", str(place / "out"), "-i", *inputs]
    assert main(words) == 2
    assert "give -m MOVING" in capsys.readouterr().err
    assert main([*words, "-m", inputs[0]]) == 0
