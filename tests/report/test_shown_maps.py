"""Colours of measured maps at places where the numbers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray

from report.made import Made
from samereg.errors import InputError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import voxel_centres_mm
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_volume
from samereg.io.images import write_volume
from samereg.report.colours import ERROR, gray, rgb
from samereg.report.measures import Maps, measure_maps
from samereg.report.page import write_report
from samereg.report.pictures import PLANES, Plane, Scene, cut, finer, finer_labels, make_scene, shown_grid
from samereg.report.shown_maps import MAX_ERROR_MM, map_pictures, shown_maps

GOOD, MIDDLING, BAD = ERROR
UNKNOWN_MM = -1.0


@pytest.fixture(scope="module")
def measured(small_ct: Volume) -> tuple[Maps, Scene]:
    maps = measure_maps(small_ct, Affine.identity())
    grid = shown_grid(maps, small_ct.grid, spacing_mm=2.0)
    return maps, make_scene(small_ct, small_ct, None, grid=grid, centre_mm=small_ct.grid.centre_mm)


def errors_like(ct: Volume, labels: LabelMap, *, left_mm: float, right_mm: float) -> Volume:
    """Expected error on the fixed grid: one number on either side of the middle, -1 outside the body."""
    x_mm = voxel_centres_mm(ct.grid)[..., 0] - ct.grid.centre_mm[0]
    error_mm = torch.where(x_mm > 0, left_mm, right_mm).float()
    return Volume(data=torch.where(labels.data > 0, error_mm, UNKNOWN_MM)[None], grid=ct.grid, background=UNKNOWN_MM)


def colours_over(
    picture: UInt8[ndarray, "h w 3"], under: UInt8[ndarray, "h w 3"], where: ndarray
) -> tuple[float, float, float]:
    """Mean of what was laid over the gray picture at some pixels, 65 % strong."""
    red, green, blue = ((picture[where].astype(float) - 0.35 * under[where]) / 0.65).mean(axis=0).tolist()
    return red, green, blue


def plain(scene: Scene, plane: Plane) -> UInt8[ndarray, "h w 3"]:
    return rgb(gray(finer(cut(scene.fixed.data[0].float(), scene.middle, plane))))


def sides(scene: Scene, labels: LabelMap, plane: Plane) -> tuple[ndarray, ndarray, ndarray]:
    """Pixels well inside the body on the left, on the right, and well outside it."""
    body = Volume(data=(labels.data > 0).float()[None], grid=labels.grid, background=0.0)
    share = resample_volume(body, Affine.identity(), scene.grid).data[0]
    smooth = torch.nn.functional.avg_pool3d(share[None, None], 9, stride=1, padding=4, count_include_pad=False)[0, 0]
    x_mm = (voxel_centres_mm(scene.grid)[..., 0] - labels.grid.centre_mm[0]).float()
    masks = [(smooth > 0.999) & (x_mm > 12.0), (smooth > 0.999) & (x_mm < -12.0), smooth < 0.001]
    left, right, outside = (finer_labels(cut(mask.int(), scene.middle, plane)) > 0 for mask in masks)
    return left, right, outside


@pytest.mark.parametrize(
    ("left_mm", "right_mm", "left", "right"),
    [
        (0.0, MAX_ERROR_MM, GOOD, BAD),
        (MAX_ERROR_MM / 2, 60.0, MIDDLING, BAD),
        (2.0, 2.0, None, None),
    ],
)
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_a_small_expected_error_is_green_and_a_large_one_red(
    measured, small_ct, small_labels, plane, left_mm, right_mm, left, right
) -> None:
    maps, scene = measured
    *_, error = shown_maps(maps, errors_like(small_ct, small_labels, left_mm=left_mm, right_mm=right_mm))
    picture, under = map_pictures(error, scene, maps, plane), plain(scene, plane)
    on_left, on_right, outside = sides(scene, small_labels, plane)
    assert min(on_left.sum(), on_right.sum(), outside.sum()) > 50
    for where, colour, error_mm in ((on_left, left, left_mm), (on_right, right, right_mm)):
        share = 2 * min(1.0, error_mm / MAX_ERROR_MM)
        wanted = colour or tuple(a + share * (b - a) for a, b in zip(GOOD, MIDDLING, strict=True))
        assert colours_over(picture, under, where) == pytest.approx(wanted, abs=1.5)
    # Outside the body nothing is laid over the scan.
    np.testing.assert_array_equal(picture[outside], under[outside])


def test_the_fill_value_outside_the_body_mixes_into_no_colour(measured, small_ct, small_labels) -> None:
    maps, scene = measured
    *_, error = shown_maps(maps, errors_like(small_ct, small_labels, left_mm=15.0, right_mm=15.0))
    assert float(error.values.min()) == pytest.approx(15.0, abs=1e-4)
    for plane in PLANES:
        picture, under = map_pictures(error, scene, maps, plane), plain(scene, plane)
        coloured = (picture != under).any(-1)
        assert coloured.any()
        assert colours_over(picture, under, coloured) == pytest.approx(BAD, abs=1.5)
        laid = (picture[coloured] - 0.35 * under[coloured]) / 0.65
        assert np.abs(laid - np.array(BAD)).max() < 2.5


def test_the_scale_is_the_same_whatever_the_errors_are(measured, small_ct, small_labels) -> None:
    maps, _ = measured
    for largest_mm in (1.0, 4.0, 80.0):
        *_, error = shown_maps(maps, errors_like(small_ct, small_labels, left_mm=0.5, right_mm=largest_mm))
        assert (error.scale.low, error.scale.high) == (0.0, MAX_ERROR_MM)
        assert error.ends == ("0 mm", "15 mm and more")


def test_places_of_the_body_that_nothing_is_said_of_have_no_colour(measured, small_ct, small_labels) -> None:
    maps, _ = measured
    known = errors_like(small_ct, small_labels, left_mm=3.0, right_mm=UNKNOWN_MM)
    *_, error = shown_maps(maps, known)
    x_mm = voxel_centres_mm(maps.grid)[..., 0] - small_ct.grid.centre_mm[0]
    assert not bool(error.body[x_mm < -6.0].any())
    assert bool(error.body[(x_mm > 6.0) & maps.body].any())
    with pytest.raises(InputError, match=r"confidence\.nii\.gz: .*no expected error"):
        shown_maps(maps, replace(known, data=torch.full_like(known.data, UNKNOWN_MM)))


def test_a_report_shows_the_expected_error_with_its_scale(copied: Made, small_ct, small_labels) -> None:
    error = errors_like(small_ct, small_labels, left_mm=2.0, right_mm=20.0)
    write_volume(error, copied.folder / "confidence.nii.gz")
    write_report(copied.folder)
    page = (copied.folder / "report.html").read_text(encoding="utf-8")
    assert 'data-mode="error"' in page
    assert "Expected error, axial" in page
    assert "15 mm and more" in page


def test_the_difference_says_what_its_colours_mean(copied: Made) -> None:
    write_report(copied.folder)
    page = (copied.folder / "report.html").read_text(encoding="utf-8")
    assert "-400 HU" in page
    assert "fixed minus moved" in page
