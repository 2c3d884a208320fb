"""Sizes of lesions from masks, and what RECIST 1.1 makes of them."""

import pytest
import torch

from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import LabelMap
from samereg.metrics.lesions import measure_lesions, response, separated, size_change, volume_changes

FINE = axis_aligned_grid((40, 60, 60), (1.0, 0.8, 0.8), (-24.0, -24.0, -20.0))
THICK = axis_aligned_grid((12, 60, 60), (4.0, 0.8, 0.8), (-24.0, -24.0, -22.0))
FLIPPED = Grid(shape=FINE.shape, affine=FINE.affine * torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


def ellipsoid(grid: Grid, semi_mm: tuple[float, float, float], angle: float = 0.0) -> LabelMap:
    points = voxel_centres_mm(grid) - grid.centre_mm
    turn = torch.tensor(angle)
    x, y, z = points.unbind(-1)
    along, beside = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    inside = (along / semi_mm[0]) ** 2 + (beside / semi_mm[1]) ** 2 + (z / semi_mm[2]) ** 2 <= 1.0
    return LabelMap(data=inside.long() * 7, grid=grid)


@pytest.mark.parametrize("grid", [FINE, THICK, FLIPPED], ids=["fine", "thick slices", "flipped"])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2])
def test_diameters_of_an_ellipsoid_are_its_axes_to_a_voxel(grid: Grid, angle: float) -> None:
    (found,) = measure_lesions(ellipsoid(grid, (15.0, 9.0, 12.0), angle))
    assert found.number == 7
    assert found.longest_mm == pytest.approx(30.0, abs=1.2)
    assert found.perpendicular_mm == pytest.approx(18.0, abs=1.2)
    assert found.volume_ml == pytest.approx(4 / 3 * torch.pi * 15 * 9 * 12 / 1000, rel=0.05)
    assert torch.allclose(found.centre_mm, grid.centre_mm, atol=0.2)


def test_the_change_of_volume_is_that_of_the_map_within_each_lesion() -> None:
    labels = torch.zeros(FINE.shape, dtype=torch.int64)
    labels[5:10, 20:30, 20:30], labels[25:30, 20:30, 20:30] = 1, 4
    linear = torch.diag(torch.tensor([1.1, 1.0, 0.8], dtype=torch.float64))
    scale = Affine.from_parts(linear, torch.zeros(3, dtype=torch.float64))
    assert volume_changes(LabelMap(data=labels, grid=FINE), scale) == pytest.approx({1: -0.12, 4: -0.12})
    # A field that stretches along z above the middle alone.
    z = voxel_centres_mm(FINE)[..., 2]
    data = torch.stack([torch.zeros_like(z), torch.zeros_like(z), 0.2 * (z - float(FINE.centre_mm[2])).clamp(min=0.0)])
    changes = volume_changes(LabelMap(data=labels, grid=FINE), Displacement(grid=FINE, data=data.float()))
    assert changes == pytest.approx({1: 0.0, 4: 0.2}, abs=1e-3)
    assert volume_changes(LabelMap(data=0 * labels, grid=FINE), scale) == {}


def test_a_single_voxel_is_as_wide_as_itself() -> None:
    labels = torch.zeros(FINE.shape, dtype=torch.int64)
    labels[20, 30, 30] = 1
    (found,) = measure_lesions(LabelMap(data=labels, grid=FINE))
    assert (found.longest_mm, found.perpendicular_mm) == (pytest.approx(0.8), pytest.approx(0.8))


def test_connected_parts_of_one_mask_are_lesions_and_values_of_a_map_stay_as_they_are() -> None:
    labels = torch.zeros(8, 8, 8, dtype=torch.int64)
    labels[1, 1, 1] = labels[2, 2, 2] = labels[6, 6, 6] = 5  # the first two touch at a corner
    grid = axis_aligned_grid((8, 8, 8))
    assert len(measure_lesions(separated(LabelMap(data=labels, grid=grid)))) == 2
    labels[6, 6, 6] = 9
    assert [each.number for each in measure_lesions(separated(LabelMap(data=labels, grid=grid)))] == [5, 9]


@pytest.mark.parametrize(
    ("sums", "has_new", "all_gone", "category"),
    [
        ([100.0, 71.0], False, False, "stable disease"),
        ([100.0, 70.0], False, False, "partial response"),
        ([100.0, 0.0], False, True, "complete response"),
        ([100.0, 119.0], False, False, "stable disease"),
        ([100.0, 120.0], False, False, "progressive disease"),
        ([10.0, 14.9], False, False, "stable disease"),  # 49 %, but less than 5 mm
        ([10.0, 15.0], False, False, "progressive disease"),
        ([100.0, 50.0, 61.0], False, False, "progressive disease"),  # from the smallest sum, not from the baseline
        ([100.0, 50.0, 59.0], False, False, "partial response"),
        ([100.0, 0.0, 5.0], False, False, "progressive disease"),
        ([100.0, 60.0], True, False, "progressive disease"),
        ([100.0, None], False, False, "not evaluable"),
        ([100.0, None], True, False, "progressive disease"),
        ([100.0, None, 70.0], False, False, "partial response"),
    ],
)
def test_categories_are_those_of_recist(sums, has_new, all_gone, category) -> None:
    assert response(sums, has_new=has_new, all_gone=all_gone)[0] == category


def test_changes_are_from_the_baseline_and_from_the_smallest_sum() -> None:
    assert response([100.0, 50.0, 75.0], has_new=False, all_gone=False)[1:] == (-0.25, 0.5)


@pytest.mark.parametrize(("after", "word"), [(7.0, "smaller"), (7.1, "stable"), (14.9, "stable"), (15.0, "larger")])
def test_one_lesion_is_judged_by_the_same_bounds(after: float, word: str) -> None:
    assert size_change(10.0, after) == word
