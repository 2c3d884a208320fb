"""What NIfTI headers say about place and scale."""

import gzip
import logging
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import every_grid
from samereg.errors import FileError, GeometryError
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.io.channels import read_channels
from samereg.io.images import read_volume, write_volume
from samereg.io.itk import grid_of
from samereg.io.nifti import nifti_bytes
from samereg.io.transforms import read_transform

RAS = np.array([[2.0, 0, 0, -10], [0, 3.0, 0, -20], [0, 0, 4.0, 30], [0, 0, 0, 1]])
ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
DIM, PIXDIM, XYZT, SCALE, QFORM_CODE, SFORM_CODE, SFORM, QUATERNION = 40, 76, 123, 112, 252, 254, 280, 256


def image(sform: np.ndarray | None = RAS, qform: np.ndarray | None = None) -> nib.Nifti1Image:
    made = nib.Nifti1Image(ARRAY, None)
    made.set_sform(sform, 0 if sform is None else 1)
    made.set_qform(qform, 0 if qform is None else 1)
    return made


def patched(path: Path, place: int, content: bytes) -> None:
    old = path.read_bytes()
    path.write_bytes(old[:place] + content + old[place + len(content) :])


def test_ras_becomes_lps_and_axes_turn_round(tmp_path: Path) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    assert volume.grid.shape == (6, 5, 4)
    assert volume.grid.to_world(torch.tensor([5.0, 4.0, 3.0])).tolist() == [10 - 6, 20 - 12, 30 + 20]
    assert float(volume.data[0, 5, 4, 3]) == ARRAY[3, 4, 5]


@every_grid
def test_written_forms_agree_with_each_other(grid: Grid, tmp_path: Path) -> None:
    write_volume(Volume(data=torch.zeros(1, *grid.shape), grid=grid), tmp_path / "scan.nii")
    header = nib.load(tmp_path / "scan.nii").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-3)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"


@every_grid
def test_a_file_in_memory_is_read_by_another_reader_where_it_belongs(grid: Grid, tmp_path: Path) -> None:
    array = np.arange(grid.size, dtype=np.int64).reshape(grid.shape).astype(np.uint8)
    (tmp_path / "scan.nii.gz").write_bytes(nifti_bytes(array, grid, slope=2.0, intercept=-5.0))
    found = nib.load(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj), 2.0 * array.T - 5.0)
    last = torch.tensor(grid.shape, dtype=torch.float64) - 1.0
    x, y, z = grid.to_world(last).tolist()
    np.testing.assert_allclose((found.affine @ [*last.flip(0).tolist(), 1.0])[:3], [-x, -y, z], atol=1e-3)


def test_a_file_in_memory_has_the_same_bytes_every_time() -> None:
    grid = axis_aligned_grid((3, 4, 5))
    array = np.ones(grid.shape, dtype=np.uint8)
    assert nifti_bytes(array, grid) == nifti_bytes(array, grid)


def test_a_qform_alone_is_enough(tmp_path: Path) -> None:
    nib.save(image(sform=None, qform=RAS), tmp_path / "q.nii")
    nib.save(image(), tmp_path / "s.nii")
    assert read_volume(tmp_path / "q.nii").grid.is_close(read_volume(tmp_path / "s.nii").grid)


def test_forms_that_contradict_each_other_are_reported_and_the_sform_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = RAS.copy()
    other[0, 3] += 5.0
    nib.save(image(qform=other), tmp_path / "scan.nii")
    with caplog.at_level(logging.WARNING):
        grid = read_volume(tmp_path / "scan.nii").grid
    assert "sform and qform differ by up to 5.0 mm" in caplog.text
    assert grid.origin_mm[0] == 10.0


def test_metres_are_told_from_millimetres(tmp_path: Path) -> None:
    small = RAS.copy()
    small[:3] /= 1000.0
    made = image(small)
    made.header.set_xyzt_units("meter")
    nib.save(made, tmp_path / "scan.nii")
    assert read_volume(tmp_path / "scan.nii").grid.spacing_mm == pytest.approx((4.0, 3.0, 2.0))


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(1.0, -1024.0, "int16"), (2.0, 0.0, "int16"), (1000.0, 0.0, "int32"), (0.5, 0.0, "float32")],
)
def test_rescaled_numbers_get_a_type_that_holds_them(
    slope: float, intercept: float, dtype: str, tmp_path: Path
) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", SCALE, struct.pack("<2f", slope, intercept))
    volume = read_volume(tmp_path / "scan.nii")
    assert float(volume.data[0, 5, 4, 3]) == ARRAY[3, 4, 5] * slope + intercept
    assert volume.stored_dtype == dtype


def test_nifti2_and_other_byte_orders_are_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(ARRAY, RAS), tmp_path / "two.nii")
    big = nib.Nifti1Image(ARRAY, RAS, header=nib.Nifti1Header(endianness=">"), dtype=np.int16)
    nib.save(big, tmp_path / "big.nii.gz")
    for name in ("two.nii", "big.nii.gz"):
        volume = read_volume(tmp_path / name)
        assert torch.equal(volume.data[0], torch.from_numpy(ARRAY.T.astype(np.float32)))
        assert volume.stored_dtype == "int16"


def test_an_unpacked_file_with_a_packed_name_is_read(tmp_path: Path) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    (tmp_path / "scan.nii").rename(tmp_path / "scan.nii.gz")
    assert read_volume(tmp_path / "scan.nii.gz").grid.shape == (6, 5, 4)


def test_a_pair_of_files_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(ARRAY, RAS), tmp_path / "scan.img")
    (tmp_path / "scan.hdr").rename(tmp_path / "scan.nii")
    with pytest.raises(FileError, match=r"scan\.nii: is half of a \.hdr/\.img pair"):
        read_volume(tmp_path / "scan.nii")


def sheared() -> np.ndarray:
    shear = RAS.copy()
    shear[0, 2] = 1.5
    return shear


def test_shear_in_the_sform_is_refused(tmp_path: Path) -> None:
    nib.save(image(sheared()), tmp_path / "scan.nii")
    with pytest.raises(GeometryError, match=r"scan\.nii: is sheared by 20\.6 degrees; need axes at right angles"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("step", [0.0, -2.0, float("nan"), float("inf"), 1e-30])
def test_spacing_that_is_no_spacing_is_refused(step: float, tmp_path: Path) -> None:
    nib.save(image(sform=None, qform=RAS), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", PIXDIM + 4, struct.pack("<f", step))
    with pytest.raises(GeometryError, match=r"scan\.nii: has a spacing of .*; need"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ((0.0, 0.0, 0.0, 0.0), "three independent axes"),
        ((float("nan"), 0.0, 0.0, 0.0), "finite affine"),
        ((0.0, 3.0, 0.0, 0.0), "three independent axes|positive spacing"),
        ((2.0, 0.0, 0.0, 1e9), "kilometre"),
    ],
)
def test_an_impossible_sform_is_refused(row: tuple[float, ...], sentence: str, tmp_path: Path) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", SFORM, struct.pack("<4f", *row))
    with pytest.raises(GeometryError, match=rf"scan\.nii: .*({sentence}|positive spacing)"):
        read_volume(tmp_path / "scan.nii")


def test_sizes_beyond_the_file_are_refused_without_the_memory_for_them(tmp_path: Path) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", DIM, struct.pack("<4h", 3, 32767, 32767, 32767))
    with pytest.raises(FileError, match=rf"is truncated: its voxels take {2 * 32767**3} bytes, but 240 are there"):
        read_volume(tmp_path / "scan.nii")


def test_a_grid_without_any_form_is_taken_as_itk_takes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nib.save(image(), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", QFORM_CODE, struct.pack("<2h", 0, 0))
    patched(tmp_path / "scan.nii", PIXDIM + 4, struct.pack("<3f", 2.0, 3.0, 4.0))
    with caplog.at_level(logging.WARNING):
        grid = read_volume(tmp_path / "scan.nii").grid
    assert "neither sform nor qform" in caplog.text
    assert grid.is_close(axis_aligned_grid((6, 5, 4), (4.0, 3.0, 2.0)))


@pytest.mark.parametrize("handedness", [0.0, 1.0, 2.0, -1.0])
def test_a_pixdim0_of_zero_leaves_the_third_axis_of_a_qform_as_it_is(handedness: float, tmp_path: Path) -> None:
    right, left = RAS, RAS @ np.diag([1.0, 1.0, -1.0, 1.0])
    nib.save(image(sform=None, qform=left if handedness < 0 else right), tmp_path / "scan.nii")
    patched(tmp_path / "scan.nii", PIXDIM, struct.pack("<f", handedness))
    volume = read_volume(tmp_path / "scan.nii")
    by_itk = sitk.ReadImage(str(tmp_path / "scan.nii"))
    assert volume.grid.is_close(grid_of(by_itk))
    nib.save(image(left if handedness < 0 else right), tmp_path / "expected.nii")
    assert volume.grid.is_close(read_volume(tmp_path / "expected.nii").grid)


@pytest.mark.parametrize("step", [0.0, float("nan"), -2.0])
@pytest.mark.parametrize("with_qform", [True, False])
def test_a_good_sform_is_enough_beside_spacings_that_are_none(
    step: float, with_qform: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nib.save(image(qform=RAS if with_qform else None), tmp_path / "scan.nii")
    expected = read_volume(tmp_path / "scan.nii").grid
    patched(tmp_path / "scan.nii", PIXDIM + 4, struct.pack("<3f", step, step, step))
    with caplog.at_level(logging.WARNING):
        assert read_volume(tmp_path / "scan.nii").grid.is_close(expected)
    assert ("has a spacing of" in caplog.text) is with_qform


def test_a_good_sform_is_enough_beside_a_damaged_qform(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nib.save(image(qform=RAS), tmp_path / "scan.nii")
    expected = read_volume(tmp_path / "scan.nii").grid
    for quaternion in ((5.0, 5.0, 5.0), (float("nan"), 0.0, 0.0)):
        patched(tmp_path / "scan.nii", QUATERNION, struct.pack("<3f", *quaternion))
        with caplog.at_level(logging.WARNING):
            assert read_volume(tmp_path / "scan.nii").grid.is_close(expected)
        assert "has a damaged qform" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("pixdim", [(0.0, 2.0, 3.0, 4.0), (1.0, 0.0, 0.0, 0.0)])
def test_series_and_fields_have_the_place_that_a_volume_has(
    pixdim: tuple[float, ...], suffix: str, tmp_path: Path
) -> None:
    nib.save(image(qform=RAS), tmp_path / "scan.nii")
    expected = read_volume(tmp_path / "scan.nii").grid
    series = nib.Nifti1Image(np.stack([ARRAY, ARRAY], axis=-1), RAS)
    field = nib.Nifti1Image(np.zeros((4, 5, 6, 1, 3), np.float32), RAS)
    field.header["intent_code"] = 1007
    for made in (series, field):
        made.set_qform(RAS, 1)
        nib.save(made, tmp_path / "many.nii")
        patched(tmp_path / "many.nii", PIXDIM, struct.pack("<4f", *pixdim))
        many = tmp_path / f"again{suffix}"
        content = (tmp_path / "many.nii").read_bytes()
        many.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
        assert read_channels(many).grid.is_close(expected)
    found = read_transform(many)
    assert isinstance(found, Displacement)
    assert found.grid.is_close(expected)
