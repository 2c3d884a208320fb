"""Transforms survive their files, and bad files are refused by name."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, every_grid, points_around, rotation, smooth_displacement
from samereg.errors import FileError, TransformError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.io.transform_formats.itk import write_itk_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import read_transform, write_transform

TURN = Affine.from_parts(rotation((1.0, 0.5, 2.0), 7.0) * 1.05, torch.tensor([12.0, -3.0, 40.0], dtype=torch.float64))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".tfm"])
@every_grid
def test_a_chain_comes_back_as_it_was(grid: Grid, suffix: str, tmp_path: Path) -> None:
    transform = chain(chain(TURN, smooth_displacement(grid)), TURN.inverse())
    write_transform(transform, tmp_path / f"transform{suffix}")
    again = read_transform(tmp_path / f"transform{suffix}")
    points = points_around(grid, 2000)
    torch.testing.assert_close(again.apply(points), transform.apply(points), atol=1e-4, rtol=0)
    assert [type(part) for part in parts(again)] == [Affine, Displacement, Affine]


def test_affine_maps_and_the_identity_come_back(tmp_path: Path) -> None:
    for transform in (TURN, Affine.identity()):
        write_transform(transform, tmp_path / "transform.tfm")
        again = read_transform(tmp_path / "transform.tfm")
        assert isinstance(again, Affine)
        torch.testing.assert_close(again.matrix, transform.matrix)


def test_a_field_is_stored_once_and_in_the_space_it_needs(tmp_path: Path) -> None:
    field = smooth_displacement(GRIDS["LPS"])
    write_transform(field, tmp_path / "transform.h5")
    assert (tmp_path / "transform.h5").stat().st_size < 8 * field.data.numel() + 100_000


@every_grid
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_a_field_stored_as_an_image_of_vectors_is_read(grid: Grid, suffix: str, tmp_path: Path) -> None:
    field = smooth_displacement(grid)
    write_transform(field, tmp_path / "field.h5")
    stored = sitk.CompositeTransform(sitk.ReadTransform(str(tmp_path / "field.h5"))).GetNthTransform(0)
    image = sitk.DisplacementFieldTransform(stored).GetDisplacementField()
    sitk.WriteImage(image, str(tmp_path / f"field{suffix}"))
    again = read_transform(tmp_path / f"field{suffix}")
    points = points_around(grid, 2000, margin_vox=-0.01)
    torch.testing.assert_close(again.apply(points), field.apply(points), atol=1e-3, rtol=0)


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_every_linear_transform_of_itk_is_read(suffix: str, tmp_path: Path) -> None:
    euler = sitk.Euler3DTransform((10.0, 20.0, 30.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    similarity = sitk.Similarity3DTransform(1.1, (0.0, 0.6, 0.8), 0.4, (1.0, 2.0, 3.0), (5.0, 6.0, 7.0))
    shift = sitk.TranslationTransform(3, (4.0, 5.0, 6.0))
    versor = sitk.VersorRigid3DTransform((0.0, 0.6, 0.8), 0.4, (1.0, 2.0, 3.0), (5.0, 6.0, 7.0))
    scales = sitk.ScaleTransform(3, (1.1, 0.9, 1.2))
    skew = sitk.ScaleSkewVersor3DTransform(scales.GetScale(), (0.1, 0.0, 0.0, 0.0, 0.2, 0.0), (0.0, 0.0, 1.0), 0.3)
    several = sitk.CompositeTransform(
        [shift, euler, similarity, versor, scales, skew, sitk.Transform(3, sitk.sitkIdentity)]
    )
    points = points_around(GRIDS["LPS"], 20)
    for number, transform in enumerate((euler, similarity, shift, versor, scales, skew, several)):
        path = tmp_path / f"{number}{suffix}"
        sitk.WriteTransform(transform, str(path))
        expected = torch.tensor([transform.TransformPoint(p) for p in points.tolist()], dtype=torch.float64)
        torch.testing.assert_close(read_transform(path).apply(points), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_fields_in_single_precision_or_compressed_are_read(compression: str | None, tmp_path: Path) -> None:
    field = smooth_displacement(GRIDS["LPS"])
    path = tmp_path / "field.h5"
    write_transform(field, path)
    with h5py.File(path, "r+") as file:
        numbers = file["TransformGroup/1/TransformParameters"][()]
        del file["TransformGroup/1/TransformParameters"]
        file["TransformGroup/1"].create_dataset(
            "TransformParameters", data=numbers.astype(np.float32), compression=compression
        )
    assert torch.equal(read_transform(path).data, field.data)


def test_an_older_name_of_the_parameters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "turn.h5"
    write_transform(TURN, path)
    with h5py.File(path, "r+") as file:
        part = file["TransformGroup/1"]
        part.move("TransformParameters", "TranformParameters")
        part.move("TransformFixedParameters", "TranformFixedParameters")
    torch.testing.assert_close(read_transform(path).matrix, TURN.matrix)


def test_several_transforms_that_are_no_composite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.h5"
    write_transform(chain(TURN, smooth_displacement(GRIDS["LPS"])), path)
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup"]
        del group["0"]
        group.move("1", "0")
        group.move("2", "1")
    with pytest.raises(TransformError, match=r"two\.h5: holds 2 transforms that are not one composite"):
        read_transform(path)


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".mat"])
def test_several_linear_transforms_in_one_file_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"two{suffix}"
    write_itk_file(TURN, path, Spaces())
    content = path.read_bytes()
    assert isinstance(read_transform(path), Affine)
    path.write_bytes(content + content)
    with pytest.raises(TransformError, match=r"two\.\w+: holds 2 transforms that are not one composite"):
        read_transform(path)


def test_a_cubic_spline_is_read_from_numbers_as_from_text(tmp_path: Path) -> None:
    spline = sitk.BSplineTransformInitializer(sitk.Image([16, 20, 24], sitk.sitkUInt8), [2, 3, 2])
    spline.SetParameters(np.random.default_rng(0).normal(size=len(spline.GetParameters())).tolist())
    for suffix in (".h5", ".tfm"):
        sitk.WriteTransform(spline, str(tmp_path / f"spline{suffix}"))
    from_numbers, from_text = (read_transform(tmp_path / f"spline{suffix}") for suffix in (".h5", ".tfm"))
    assert torch.equal(from_numbers.data, from_text.data)
    assert torch.equal(from_numbers.grid.affine, from_text.grid.affine)


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_other_transforms_are_refused_by_name(suffix: str, tmp_path: Path) -> None:
    spline = sitk.BSplineTransformInitializer(sitk.Image([16, 16, 16], sitk.sitkUInt8), [2, 2, 2], 2)
    sitk.WriteTransform(spline, str(tmp_path / f"spline{suffix}"))
    with pytest.raises(TransformError, match=rf"spline\{suffix}: holds a BSplineTransform of order 2"):
        read_transform(tmp_path / f"spline{suffix}")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / f"flat{suffix}"))
    with pytest.raises(TransformError, match=rf"flat\{suffix}: is 2-dimensional"):
        read_transform(tmp_path / f"flat{suffix}")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    field = smooth_displacement(GRIDS["LPS"])
    data = field.data.clone()
    data[0, 1, 2, 3] = float("nan")
    write_transform(Displacement(grid=field.grid, data=data), tmp_path / "field.h5")
    with pytest.raises(TransformError, match=r"field\.h5: holds displacements that are NaN"):
        read_transform(tmp_path / "field.h5")


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".mat", ".txt", ".nii.gz", ".mha", ".nrrd", ".xyz", ""])
def test_other_bytes_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    for content in (b"", b"hello", np.random.default_rng(0).bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(FileError, match="bad"):
            read_transform(path)
    with pytest.raises(FileError, match="is missing or empty"):
        read_transform(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"transform{suffix}"
    write_transform(smooth_displacement(GRIDS["LPS"]), path)
    content = path.read_bytes()
    for share in (0.01, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises((FileError, TransformError), match="transform"):
            read_transform(path)


@pytest.mark.parametrize(
    ("array", "is_vector"), [(np.zeros((4, 5, 6), np.float32), False), (np.zeros((3, 4, 5, 6), np.float32), False)]
)
def test_images_without_vectors_are_no_transform(array: np.ndarray, is_vector: bool, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=is_vector), str(tmp_path / "scan.nii.gz"))
    with pytest.raises(TransformError, match=r"scan\.nii\.gz: is .-D with 1 numbers? per voxel"):
        read_transform(tmp_path / "scan.nii.gz")


def test_only_transform_formats_are_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.nii\.gz: has no suffix of a transform format"):
        write_transform(TURN, tmp_path / "out.nii.gz")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    class Other:
        def apply(self, points_mm: torch.Tensor) -> torch.Tensor:
            return points_mm

        def inverse(self) -> "Other":
            return self

    (tmp_path / "out.h5").write_text("old")
    with pytest.raises(TransformError, match=r"out\.h5: cannot hold a Other"):
        write_transform(Other(), tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_path_may_be_text(tmp_path: Path) -> None:
    write_transform(Affine.identity(), str(tmp_path / "t.h5"))
    assert torch.equal(read_transform(str(tmp_path / "t.h5")).matrix, Affine.identity().matrix)
