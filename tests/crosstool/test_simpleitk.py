"""What SimpleITK makes of our files and our transforms."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import every_grid, points_around, points_inside, rotation, smooth_displacement
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.checks import inverse_consistency_mm
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.io.transforms import write_transform

TOLERANCE_MM = 0.05

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0) * 0.97, torch.tensor([4.0, -9.0, 15.0], dtype=torch.float64))


def through_itk(path: Path, points: torch.Tensor) -> torch.Tensor:
    stored = sitk.ReadTransform(str(path))
    return torch.tensor([stored.TransformPoint(point) for point in points.tolist()], dtype=torch.float64)


def assert_same(transform: Transform, path: Path, points: torch.Tensor) -> None:
    write_transform(transform, path)
    offset = (through_itk(path, points) - transform.apply(points)).norm(dim=1)
    assert float(offset.max()) < TOLERANCE_MM


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
@every_grid
def test_itk_moves_points_as_we_do_inside_and_outside(grid: Grid, suffix: str, tmp_path: Path) -> None:
    transform = chain(TURN, smooth_displacement(grid))
    points = torch.cat([TURN.inverse().apply(points_inside(grid)), points_around(grid, margin_vox=12.0)])
    assert_same(transform, tmp_path / f"transform{suffix}", points)


@every_grid
def test_itk_moves_points_back_as_we_do(grid: Grid, tmp_path: Path) -> None:
    transform = chain(TURN, smooth_displacement(grid))
    inverse = transform.inverse()
    inside = TURN.inverse().apply(points_inside(grid, margin_vox=1.0))
    moved = torch.cat([transform.apply(inside), points_around(grid, margin_vox=12.0)])
    assert_same(inverse, tmp_path / "inverse.h5", moved)
    assert float(inverse_consistency_mm(transform, inverse, inside).mean()) < 0.1


@every_grid
def test_itk_moves_points_along_a_flow_as_we_do(grid: Grid, tmp_path: Path) -> None:
    flow = Velocity(grid=grid, data=smooth_displacement(grid, fades=True).data)
    transform = chain(flow, TURN)
    assert_same(transform, tmp_path / "transform.h5", points_inside(grid))
    inside = points_inside(grid, margin_vox=1.0)
    assert_same(transform.inverse(), tmp_path / "inverse.h5", transform.apply(inside))


@every_grid
def test_itk_agrees_about_the_rim_of_a_field(grid: Grid, tmp_path: Path) -> None:
    field = smooth_displacement(grid)
    last = torch.tensor(grid.shape, dtype=torch.float64) - 1.0
    middle = last / 2.0
    index = []
    for axis in range(3):
        for place in (-0.51, -0.49, -0.2, float(last[axis]) + 0.2, float(last[axis]) + 0.49, float(last[axis]) + 0.51):
            point = middle.clone()
            point[axis] = place
            index.append(point)
    assert_same(field, tmp_path / "field.h5", grid.to_world(torch.stack(index)))


@every_grid
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_itk_puts_our_voxels_where_we_do(grid: Grid, suffix: str, tmp_path: Path) -> None:
    data = torch.randint(-1000, 1000, (1, *grid.shape), generator=torch.Generator().manual_seed(0)).float()
    write_volume(Volume(data=data, grid=grid), tmp_path / f"scan{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"scan{suffix}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), data[0].numpy())
    assert image.GetPixelID() == sitk.sitkInt16
    centres = voxel_centres_mm(grid)
    for d, h, w in ((0, 0, 0), (3, 7, 11), tuple(n - 1 for n in grid.shape)):
        position = torch.tensor(image.TransformIndexToPhysicalPoint((w, h, d)), dtype=torch.float64)
        torch.testing.assert_close(position, centres[d, h, w], atol=1e-3, rtol=0)


def test_itk_resamples_through_our_file_as_we_sample(tmp_path: Path) -> None:
    image = sitk.GaussianSource(sitk.sitkFloat32, [40, 40, 40], [12.0] * 3, [20.0, 20.0, 20.0])
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([5.0, 0.0, -3.0], dtype=torch.float64))
    write_transform(shift, tmp_path / "shift.h5")
    moved = sitk.GetArrayFromImage(sitk.Resample(image, image, sitk.ReadTransform(str(tmp_path / "shift.h5"))))
    fixed = sitk.GetArrayFromImage(image)
    # moved(p) = moving(p + (5, 0, -3)): array axes are (z, y, x).
    np.testing.assert_allclose(moved[10, 10, 10], fixed[7, 10, 15], rtol=1e-5)
