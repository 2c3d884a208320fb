"""Where a coarse field ends, nothing may jump: not in samereg, not in ITK, not in the inverse."""

from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, jumps_mm
from samereg.estimate.coarse import RegularisedFill, fill_linear, fill_regularised
from samereg.estimate.fading import MAX_SLOPE, faded_out
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import jacobian_determinant_mm
from samereg.geometry.grid import Grid, axis_aligned_grid, padded, strided, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.io.transforms import read_transform, write_transform

MAX_STEP_MM = 0.5


def shifting(grid: Grid, shift_mm: tuple[float, float, float]) -> Displacement:
    return Displacement(grid=grid, data=torch.tensor(shift_mm).view(3, 1, 1, 1).expand(3, *grid.shape).clone())


@pytest.mark.parametrize(
    ("name", "shift_mm"),
    [
        ("LPS", (0.0, 0.0, 2.0)),
        ("LAS", (60.0, 30.0, -40.0)),
        ("oblique", (15.0, -20.0, 10.0)),
        ("anisotropic", (15.0, -20.0, 10.0)),
        ("left-handed", (15.0, -20.0, 10.0)),
    ],
)
def test_a_shift_fades_to_zero_without_a_fold(name: str, shift_mm: tuple[float, float, float]) -> None:
    field = shifting(GRIDS[name], shift_mm)
    faded = faded_out(field)
    for axis in (1, 2, 3):
        for face in (0, -1):
            assert float(faded.data.select(axis, face).abs().max()) < 1e-5
    inside = voxel_centres_mm(field.grid)
    torch.testing.assert_close(faded.apply(inside), field.apply(inside), atol=1e-4, rtol=0)
    # Three faces may fade at once, at a corner.
    assert float(jacobian_determinant_mm(faded).min()) > 1.0 - 3.0**0.5 * MAX_SLOPE


def test_a_field_that_is_zero_at_its_faces_stays_as_it_is() -> None:
    grid = GRIDS["oblique"]
    field = shifting(grid, (0.0, 0.0, 0.0))
    field.data[:, 5:9, 5:9, 5:9] = 3.0
    assert faded_out(field).grid.is_close(grid)


def through_itk(path: Path, grid: Grid) -> torch.Tensor:
    field = sitk.TransformToDisplacementField(
        sitk.ReadTransform(str(path)),
        sitk.sitkVectorFloat64,
        grid.shape[::-1],
        grid.origin_mm.tolist(),
        grid.spacing_mm[::-1],
        grid.direction.flip(1).flatten().tolist(),
    )
    return torch.from_numpy(sitk.GetArrayFromImage(field))


@pytest.mark.parametrize("filler", ["regularised", "linear"])
def test_nothing_jumps_in_a_larger_scan_in_either_direction(filler: str, tmp_path: Path) -> None:
    grid = axis_aligned_grid((24, 24, 24), (4.0, 4.0, 4.0), (-46.0, -46.0, -46.0))
    fixed_mm = voxel_centres_mm(strided(grid, 4)).flatten(0, 2)
    displacement_mm = torch.tensor([25.0, -10.0, 30.0], dtype=torch.float64) + 4.0 * torch.sin(fixed_mm.flip(1) / 20.0)
    if filler == "linear":
        field = fill_linear(fixed_mm, displacement_mm, grid)
    else:
        weights = torch.ones(len(fixed_mm), dtype=torch.float64)
        field = fill_regularised(
            fixed_mm, displacement_mm, weights=weights, grid=grid, settings=RegularisedFill()
        ).displacement
    turn = Affine.from_parts(1.1 * torch.eye(3, dtype=torch.float64), torch.tensor([5.0, 0.0, -8.0]).double())
    transform: Transform = chain(faded_out(field), turn)
    larger = padded(grid, (8, 8, 8), (8, 8, 8))
    points_mm = voxel_centres_mm(larger)
    for name, map_ in (("transform", transform), ("inverse", transform.inverse())):
        path = tmp_path / f"{name}.h5"
        write_transform(map_, path)
        for landed_mm in (
            map_.apply(points_mm),
            read_transform(path).apply(points_mm),
            points_mm + through_itk(path, larger),
        ):
            assert float(jumps_mm(landed_mm).max()) < MAX_STEP_MM
