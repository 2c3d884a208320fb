"""A landmark lands where the warped image shows it: a bright dot, every format, both directions, every orientation."""

from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, rotation, smooth_displacement
from samereg.app.points import PointsSettings, move_points_file
from samereg.app.resampling import ApplySettings, apply_files
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid, padded, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
from samereg.io.points import read_points_csv, write_table_csv
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces

SUB_VOXEL = 0.35
"""A dot's centre of mass is found this near, in voxels, after it was interpolated and the background cut off."""
CUT = 300.0
"""Brightness below which nothing counts as the dot, whose peak is 1000."""

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 5.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))

FILES = {
    "itk": "t.h5",
    "field": "t.nrrd",
    "nifti-1006": "t.nii.gz",
    "ants": "t",
    "elastix": "t.txt",
    "greedy": "t.nii.gz",
    "niftyreg": "t.nii.gz",
    "learn2reg": "t.nii.gz",
}


def known_map(grid: Grid) -> Transform:
    return chain(smooth_displacement(padded(grid, (8, 8, 8), (8, 8, 8)), amplitude_mm=6.0), TURN)


def dot_image(grid: Grid, centre_mm: torch.Tensor) -> Volume:
    width_mm = 2.0 * max(grid.spacing_mm)
    squared = (voxel_centres_mm(grid) - centre_mm).square().sum(-1)
    return Volume(data=(1000.0 * torch.exp(-0.5 * squared / width_mm**2)).float()[None], grid=grid, background=0.0)


def centre_of_dot(image: Volume) -> torch.Tensor:
    weight = (image.data[0].double() - CUT).clamp(min=0.0)
    return (voxel_centres_mm(image.grid) * weight[..., None]).sum((0, 1, 2)) / weight.sum()


@pytest.fixture(params=list(GRIDS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Grid]:
    """A fixed grid, a moving image whose dot is where the known map takes a fixed point, and that dot's position."""
    grid = GRIDS[request.param]
    middle = (torch.tensor(grid.shape, dtype=torch.float64) - 1.0) / 2.0
    fixed_dot = grid.to_world(middle + torch.tensor([1.0, -2.0, 3.0]))
    moving = dot_image(padded(grid, (4, 4, 4), (4, 4, 4)), known_map(grid).apply(fixed_dot))
    write_volume(moving, tmp_path / "moving.nii.gz")
    write_volume(Volume(data=torch.zeros(1, *grid.shape), grid=grid, background=0.0), tmp_path / "fixed.nii.gz")
    write_table_csv(("x", "y", "z"), [centre_of_dot(moving).tolist()], tmp_path / "moving.csv")
    return tmp_path, grid


def moved_point(folder: Path, file: str, name: str, *, source: str, target: str, points: str) -> torch.Tensor:
    settings = PointsSettings(
        source=source,
        target=target,
        transform_format=name,
        fixed=folder / "fixed.nii.gz",
        moving=folder / "moving.nii.gz",
    )
    move_points_file(folder / file, folder / points, folder / "out.csv", settings=settings, overwrite=True)
    return read_points_csv(folder / "out.csv")[0]


@pytest.mark.parametrize(("name", "file"), list(FILES.items()))
def test_a_landmark_lands_where_the_warped_image_shows_it(name: str, file: str, place: tuple[Path, Grid]) -> None:
    folder, grid = place
    spaces = Spaces(fixed=grid, moving=read_volume(folder / "moving.nii.gz").grid)
    write_transform_file(known_map(grid), folder / file, format=name, spaces=spaces)
    settings = ApplySettings(reference=folder / "fixed.nii.gz", interpolation="linear", transform_format=name)
    apply_files(folder / file, (folder / "moving.nii.gz",), folder / "moved.nii.gz", settings=settings)
    shown = centre_of_dot(read_volume(folder / "moved.nii.gz"))[None]
    write_table_csv(("x", "y", "z"), shown.tolist(), folder / "shown.csv")
    landed = moved_point(folder, file, name, source="moving", target="fixed", points="moving.csv")
    assert float((grid.to_index(landed) - grid.to_index(shown)).abs().max()) < SUB_VOXEL
    back = moved_point(folder, file, name, source="fixed", target="moving", points="shown.csv")
    dot = read_points_csv(folder / "moving.csv")[0]
    assert float((grid.to_index(back) - grid.to_index(dot)).abs().max()) < SUB_VOXEL
    # The other way round it would be off by about twice the displacement.
    wrong = known_map(grid).apply(dot)
    assert float((grid.to_index(wrong) - grid.to_index(shown)).abs().max()) > 3.0 * SUB_VOXEL


def test_it_lands_where_itk_shows_it_too(place: tuple[Path, Grid]) -> None:
    folder, grid = place
    write_transform_file(known_map(grid), folder / "t.h5", spaces=Spaces())
    fixed, moving = (sitk.ReadImage(str(folder / name)) for name in ("fixed.nii.gz", "moving.nii.gz"))
    moved = sitk.Resample(moving, fixed, sitk.ReadTransform(str(folder / "t.h5")), sitk.sitkLinear, 0.0)
    sitk.WriteImage(moved, str(folder / "moved.nii.gz"))
    shown = centre_of_dot(read_volume(folder / "moved.nii.gz"))
    landed = moved_point(folder, "t.h5", "itk", source="moving", target="fixed", points="moving.csv")
    assert float((grid.to_index(landed) - grid.to_index(shown)).abs().max()) < SUB_VOXEL
