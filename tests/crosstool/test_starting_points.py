"""Other tools start from our affine map, and we read what they make of it: each tool really run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crosstool.other_tools import (
    Job,
    register_with_ants,
    register_with_elastix,
    run_greedy,
    save_image,
    through_ants,
    through_elastix,
    through_greedy,
    through_itk,
    through_niftyreg,
)
from laws import grid_from_directions, points_inside, rotation, signed_axes
from samereg.app.starting import Start, write_starts
from samereg.geometry.affine import Affine
from samereg.geometry.chain import Chain, chain
from samereg.geometry.grid import voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces

TOLERANCE_MM = 0.05
GRID = grid_from_directions(
    rotation((1.0, 2.0, -0.5), 25.0) @ signed_axes(-1.0, 1.0, 1.0), spacing_mm=(4.0, 3.0, 3.0), shape=(28, 34, 32)
)
START = Affine.from_parts(rotation((0.2, 1.0, -0.4), 4.0) * 1.03, torch.tensor([6.0, -9.0, 5.0], dtype=torch.float64))
BEND_MM = 4.0


def bodies(points_mm: torch.Tensor) -> np.ndarray:
    """Brightness of a few soft balls around the middle of the grid."""
    offset = points_mm - GRID.centre_mm
    total = torch.zeros(points_mm.shape[:-1], dtype=torch.float64)
    for place in ((0, 0, 0), (25, 5, -10), (-20, 15, 12), (5, -25, 15), (-10, -12, -20)):
        total += torch.exp(-0.5 * (offset - torch.tensor(place, dtype=torch.float64)).square().sum(-1) / 9.0**2)
    return 100.0 * total.numpy()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Fixed and moving image; the moving one lies where the start takes the fixed one, but for a bend."""
    centres = voxel_centres_mm(GRID)
    bend = BEND_MM * torch.sin((centres - GRID.centre_mm) / 20.0)
    back = START.inverse().apply(centres)
    return (
        save_image(GRID, tmp_path / "fixed.nii.gz", bodies(centres)),
        save_image(GRID, tmp_path / "moving.nii.gz", bodies(back + bend)),
    )


@pytest.fixture
def starts(pair: tuple[Path, Path], tmp_path: Path) -> dict[str, Start]:
    found = write_starts(START, tmp_path / "init.tfm", scans=pair, grids=(GRID, GRID))
    return {start.tool: start for start in found}


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert float((found - expected).norm(dim=1).max()) < TOLERANCE_MM


def assert_bent(transform: Transform, points: torch.Tensor) -> None:
    """The tool did find more than the start, and began at it."""
    apart = (transform.apply(points) - START.apply(points)).norm(dim=1)
    assert 0.3 < float(apart.max()) < 4.0 * BEND_MM


def test_every_start_is_the_map_in_its_tool_s_convention(starts: dict[str, Start], pair: tuple[Path, Path]) -> None:
    points = points_inside(GRID, 50)
    expected = START.apply(points)
    assert_near(through_itk(starts["Slicer, SimpleITK"].file, points), expected)
    assert_near(through_itk(starts["ANTs"].file, points), expected)
    assert_near(through_niftyreg(starts["NiftyReg"].file, points), expected)
    assert_near(through_greedy([starts["greedy"].file], points, pair[0]), expected)
    for start in starts.values():
        assert str(start.file) in start.command


def test_ants_starts_from_our_file_and_we_read_its_answer(
    starts: dict[str, Start], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    register_with_ants(*pair, starts["ANTs"].file, tmp_path / "ants_")
    found = read_transform_file(tmp_path / "ants_", spaces=Spaces())
    points = points_inside(GRID, 50, margin_vox=0.01)
    assert_bent(found, points)
    files = [tmp_path / "ants_1Warp.nii.gz", tmp_path / "ants_0GenericAffine.mat"]
    (theirs,) = through_ants([Job(points=points, files=files, grid=GRID)], tmp_path)
    assert_near(theirs, found.apply(points))


def test_greedy_starts_from_our_file_and_we_read_its_answer(
    starts: dict[str, Start], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    fixed, moving = pair
    affine, warp = tmp_path / "affine.mat", tmp_path / "warp.nii.gz"
    start = starts["greedy"].file
    run_greedy(f"-d 3 -threads 1 -a -i {fixed} {moving} -ia {start} -m SSD -n 2 -o {affine}")
    run_greedy(f"-d 3 -threads 1 -i {fixed} {moving} -it {affine} -m SSD -n 20x10 -s 2vox 1vox -o {warp}")
    points = points_inside(GRID, 50, margin_vox=0.01)
    first = read_transform_file(affine, format="greedy", spaces=Spaces())
    # Two iterations from the start leave it near; from anywhere else they would not reach it.
    assert float((first.apply(points) - START.apply(points)).norm(dim=1).max()) < 3.0
    found = chain(read_transform_file(warp, format="greedy", spaces=Spaces()), first)
    assert_bent(found, points)
    assert_near(through_greedy([warp, affine], points, fixed), found.apply(points))


@pytest.mark.slow
def test_elastix_starts_from_our_file_and_we_read_its_answer(
    starts: dict[str, Start], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "elastix").mkdir()
    register_with_elastix(*pair, starts["elastix"].file, tmp_path / "elastix")
    answer = tmp_path / "elastix" / "TransformParameters.0.txt"
    found = read_transform_file(answer, spaces=Spaces())
    assert isinstance(found, Chain)
    points = points_inside(GRID, 50, margin_vox=0.01)
    assert_bent(found, points)
    (theirs,) = through_elastix([Job(points=points, files=[answer], grid=GRID)], tmp_path)
    assert_near(theirs, found.apply(points))
