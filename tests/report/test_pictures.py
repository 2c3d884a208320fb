"""Pictures that another program reads, and slices that are the right way up."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import every_grid
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import LabelMap, Volume
from samereg.report.charts import histogram
from samereg.report.colours import BALANCE, OUTLINES, Scale, checkerboard, gray, rgb, with_outlines
from samereg.report.measures import measure_maps
from samereg.report.pictures import PLANES, Plane, Scene, cut, make_scene, shown_grid, slice_of
from samereg.report.png import png_bytes


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)])
def test_a_png_is_read_back_by_another_program(shape: tuple[int, ...], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "picture.png").write_bytes(png_bytes(picture))
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "picture.png")))
    np.testing.assert_array_equal(read, picture)


def test_gray_runs_from_black_to_white_over_the_window() -> None:
    assert gray(np.array([-3000.0, -1000.0, -200.0, 600.0, 3000.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_scale_has_its_colours_at_its_ends_and_middle() -> None:
    colours = Scale(anchors=BALANCE, low=-1.0, high=1.0).colour(np.array([-5.0, -1.0, 0.0, 1.0]))
    assert colours.tolist() == [list(BALANCE[0]), list(BALANCE[0]), list(BALANCE[2]), list(BALANCE[-1])]


def test_outlines_are_drawn_inside_labels_and_nowhere_else() -> None:
    labels = np.zeros((9, 9), dtype=np.int64)
    labels[2:7, 2:7] = 2
    drawn = with_outlines(rgb(np.zeros((9, 9), dtype=np.uint8)), labels)
    coloured = (drawn == OUTLINES[1]).all(-1)
    expected = labels > 0
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(coloured, expected)
    assert not drawn[~coloured].any()


def test_a_checkerboard_shows_both_in_turn() -> None:
    black, white = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    board = checkerboard(black, white, square_px=2)
    assert board.tolist() == [[0, 0, 255, 255]] * 2 + [[255, 255, 0, 0]] * 2


@pytest.mark.parametrize(
    ("plane", "up", "right"),
    [("axial", (0, -1, 0), (1, 0, 0)), ("coronal", (0, 0, 1), (1, 0, 0)), ("sagittal", (0, 0, 1), (0, 1, 0))],
)
def test_slices_are_the_right_way_up(plane: Plane, up: tuple[int, ...], right: tuple[int, ...]) -> None:
    # Up and right in world axes (left, back, head): patients are seen from their feet and from the front.
    grid = axis_aligned_grid((6, 7, 8))
    position = voxel_centres_mm(grid) @ torch.tensor([up, right], dtype=torch.float64).T
    height, side = cut(position, (3, 3, 3), plane).unbind(-1)
    assert bool((height.diff(dim=0) < 0).all())
    assert bool((side.diff(dim=1) > 0).all())


@every_grid
def test_the_shown_grid_stands_upright_around_the_body(grid: Grid) -> None:
    body = torch.zeros(grid.shape, dtype=torch.bool)
    body[3:-3, 3:-3, 3:-3] = True
    maps = measure_maps(Volume(data=torch.where(body, 40.0, -1000.0)[None], grid=grid), Affine.identity())
    shown = shown_grid(maps, grid, spacing_mm=2.0)
    assert shown.direction.flip(1).equal(torch.eye(3, dtype=torch.float64))
    ends = voxel_centres_mm(shown).reshape(-1, 3)
    body_mm = voxel_centres_mm(grid)[body]
    # Bodies are found on a lattice of 4 mm.
    assert bool((ends.amin(dim=0) <= body_mm.amin(dim=0) + 4).all())
    assert bool((ends.amax(dim=0) >= body_mm.amax(dim=0) - 4).all())


def scene_of(volume: Volume, labels: LabelMap) -> Scene:
    maps = measure_maps(volume, Affine.identity())
    return make_scene(
        volume,
        volume,
        (labels, labels),
        grid=shown_grid(maps, volume.grid, spacing_mm=2.0),
        centre_mm=volume.grid.centre_mm,
    )


def test_a_slice_of_a_map_is_that_of_the_whole_map(small_ct: Volume, small_labels: LabelMap) -> None:
    scene = scene_of(small_ct, small_labels)
    for plane in PLANES:
        found = slice_of(small_ct.data[0], small_ct.grid, scene, plane)
        # Positions are within 1e-3 voxel, where HU change by up to 900 a voxel.
        assert torch.allclose(found, cut(scene.fixed.data[0], scene.middle, plane), rtol=0, atol=0.9)


def test_a_histogram_counts_everything_once() -> None:
    chart = histogram((("before", "before", np.array([1.0, 2.0, 1e9])), ("after", "after", np.zeros(3))), unit="mm")
    assert "before: median 2.0 mm" in chart
    assert "after: median 0.0 mm" in chart


def test_a_histogram_of_nothing_says_so() -> None:
    assert "No data." in histogram((("before", "before", np.zeros(0)),), unit="mm")
