"""The same point goes to the same place, whatever file it travels through: ours and the real other tools'."""

from pathlib import Path

import pytest
import torch

from crosstool.other_tools import (
    Job,
    save_image,
    through_ants,
    through_elastix,
    through_flirt,
    through_greedy,
    through_itk,
    through_learn2reg,
    through_niftyreg,
)
from laws import GRIDS, points_inside, rotation, smooth_displacement
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid, refined, strided
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.io.transform_files import read_transform_file, write_transform_file
from samereg.io.transform_formats.spaces import Spaces

TOLERANCE_MM = 0.05
HALF_PRECISION_MM = 0.5
"""A `.npz` of Learn2Reg has half the voxels, and half-precision voxel counts of up to 100: a sixteenth of a voxel."""

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))

every_kind = pytest.mark.parametrize("name", list(GRIDS))


def bent(grid: Grid) -> Transform:
    return chain(smooth_displacement(grid, amplitude_mm=6.0), TURN)


def spline_around(grid: Grid) -> Spline:
    """Control points that reach two beyond the grid on every side."""
    coarse = strided(grid, 5)
    affine = coarse.affine.clone()
    affine[:3, 3] = coarse.to_world(torch.full((3,), -2.0))
    control = Grid(shape=tuple(n + 5 for n in coarse.shape), affine=affine)
    noise = torch.randn(3, *control.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Spline(grid=control, data=4.0 * noise)


@pytest.fixture
def images(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Two images: the fixed one on the grid of the test, the moving one on another."""
    grid = GRIDS[request.getfixturevalue("name")]
    return save_image(grid, tmp_path / "fixed.nii.gz"), save_image(moving_grid(grid), tmp_path / "moving.nii.gz")


def moving_grid(grid: Grid) -> Grid:
    turned = TURN.matrix @ grid.affine
    turned[:3, :3] *= 1.1
    return Grid(shape=grid.shape, affine=turned)


def written(transform: Transform, path: Path, grid: Grid, name: str | None = None) -> Path:
    """The file, after our own reader agreed with what was written."""
    spaces = Spaces(fixed=grid, moving=moving_grid(grid))
    write_transform_file(transform, path, format=name, spaces=spaces)
    again = read_transform_file(path, format=name, spaces=spaces)
    points = points_inside(grid, margin_vox=0.01)
    tolerance = HALF_PRECISION_MM if path.suffix == ".npz" else 1e-3
    torch.testing.assert_close(again.apply(points), transform.apply(points), atol=tolerance, rtol=0)
    return path


def assert_close(
    found: torch.Tensor, transform: Transform, points: torch.Tensor, *, within: float = TOLERANCE_MM
) -> None:
    assert found.shape == points.shape
    assert float((found - transform.apply(points)).norm(dim=1).max()) < within


@every_kind
@pytest.mark.parametrize("file", ["t.nii.gz", "t.mha", "t.nrrd", "t.h5", "t.tfm"])
def test_itk_takes_points_where_we_do(name: str, file: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    points = points_inside(grid, margin_vox=0.01)
    assert_close(through_itk(written(bent(grid), tmp_path / file, grid), points), bent(grid), points)


@every_kind
def test_itk_turns_fields_of_intent_1006_as_we_do(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    points = points_inside(grid, margin_vox=0.01)
    path = written(bent(grid), tmp_path / "t.nii.gz", grid, "nifti-1006")
    assert_close(through_itk(path, points), bent(grid), points)


@every_kind
@pytest.mark.parametrize("file", ["t.mat", "t.txt", "t.tfm"])
def test_itk_reads_our_affine_maps(name: str, file: str, tmp_path: Path) -> None:
    points = points_inside(GRIDS[name])
    assert_close(through_itk(written(TURN, tmp_path / file, GRIDS[name], "itk"), points), TURN, points)


@every_kind
def test_itk_takes_points_through_splines_as_we_do(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    spline, points = spline_around(grid), points_inside(grid)
    assert float((spline.apply(points) - points).norm(dim=1).min()) > 0.0
    assert_close(through_itk(written(spline, tmp_path / "t.tfm", grid), points), spline, points, within=1e-6)


def test_ants_takes_points_where_we_do(tmp_path: Path) -> None:
    jobs, expected = [], []
    for name, grid in GRIDS.items():
        points = points_inside(grid, 50, margin_vox=0.01)
        written(bent(grid), tmp_path / name, grid, "ants")
        files = [tmp_path / f"{name}1Warp.nii.gz", tmp_path / f"{name}0GenericAffine.mat"]
        for chosen in (files, files[1:], [written(bent(grid), tmp_path / f"{name}.h5", grid)]):
            jobs.append(Job(points=points, files=chosen, grid=grid))
        expected += [bent(grid), TURN, bent(grid)]
    for found, job, transform in zip(through_ants(jobs, tmp_path), jobs, expected, strict=True):
        assert_close(found, transform, job.points)


@pytest.mark.slow
def test_transformix_takes_points_where_we_do(tmp_path: Path) -> None:
    jobs, expected = [], []
    for name, grid in GRIDS.items():
        for number, transform in enumerate((TURN, bent(grid), spline_around(grid))):
            path = written(transform, tmp_path / f"{name}{number}.txt", grid, "elastix")
            jobs.append(Job(points=points_inside(grid, 50, margin_vox=0.01), files=[path], grid=grid))
            expected.append(transform)
    for found, job, transform in zip(through_elastix(jobs, tmp_path), jobs, expected, strict=True):
        assert_close(found, transform, job.points)


@every_kind
def test_greedy_takes_points_where_we_do(name: str, images: tuple[Path, Path], tmp_path: Path) -> None:
    grid = GRIDS[name]
    points = points_inside(grid, 50, margin_vox=0.01)
    matrix = written(TURN, tmp_path / "t.mat", grid, "greedy")
    assert_close(through_greedy([matrix], points, images[0]), TURN, points)
    warp = written(smooth_displacement(grid), tmp_path / "t.nii.gz", grid, "greedy")
    both = chain(smooth_displacement(grid), TURN)
    assert_close(through_greedy([warp, matrix], points, images[0]), both, points)


@every_kind
def test_niftyreg_takes_points_where_we_do(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    points = points_inside(grid, margin_vox=0.01)
    for transform, file in ((TURN, "t.txt"), (bent(grid), "t.nii.gz")):
        path = written(transform, tmp_path / file, grid, "niftyreg")
        assert_close(through_niftyreg(path, points), transform, points)


@every_kind
@pytest.mark.parametrize("file", ["disp_0001_0002.nii.gz", "disp_0001_0002.npz"])
def test_the_challenge_takes_points_where_we_do(
    name: str, file: str, images: tuple[Path, Path], tmp_path: Path
) -> None:
    grid = GRIDS[name]
    points = points_inside(grid, margin_vox=0.01)
    path = written(bent(grid), tmp_path / file, grid, "learn2reg")
    within = HALF_PRECISION_MM if file.endswith("npz") else TOLERANCE_MM
    assert_close(through_learn2reg(path, points, images), bent(grid), points, within=within)


@every_kind
def test_flirt_matrices_mean_what_another_reader_says(name: str, images: tuple[Path, Path], tmp_path: Path) -> None:
    grid = GRIDS[name]
    points = points_inside(grid)
    path = written(TURN, tmp_path / "flirt.mat", grid, "fsl")
    assert_close(through_flirt(path, points, images), TURN, points)


@pytest.mark.parametrize("name", ["LPS"])
def test_a_finer_grid_keeps_a_field(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    written(bent(grid), tmp_path / "t.nii.gz", refined(grid, 2))
