"""Laws of the random warps."""

import numpy as np
import pytest
import torch

from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.phantom.variation import draw_variation, draw_warp
from samereg.phantom.waves import limited, random_waves

_GRID = axis_aligned_grid((12, 9, 13), (32.0, 32.0, 32.0), (-192.0, -128.0, -176.0))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(6))
def test_warp_inverse_brings_every_point_back(seed):
    warp = draw_warp(_generator(seed))
    points = voxel_centres_mm(_GRID).numpy().reshape(-1, 3)
    np.testing.assert_allclose(warp.to_template(warp.to_subject(points)), points, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_warp_never_folds(seed):
    warp = draw_warp(_generator(seed))
    points = voxel_centres_mm(_GRID).numpy().reshape(-1, 3)
    step = 1e-3
    columns = [
        (warp.to_template(points + step * axis) - warp.to_template(points - step * axis)) / (2.0 * step)
        for axis in np.eye(3)
    ]
    assert np.linalg.det(np.stack(columns, axis=-1)).min() > 0.1


def test_template_coordinates_are_the_warp_at_voxel_centres():
    warp = draw_warp(_generator(1))
    expected = warp.to_template(voxel_centres_mm(_GRID).numpy())
    # Single precision: a few hundredths of a micrometre per millimetre of position.
    np.testing.assert_allclose(np.moveaxis(warp.template_coordinates(_GRID), 0, -1), expected, atol=1e-3)


def test_waves_on_a_grid_are_waves_at_its_points():
    waves = random_waves(_generator(2), count=7, channels=2, wavelength_mm=(40.0, 200.0))
    expected = waves.at(voxel_centres_mm(_GRID).numpy())
    np.testing.assert_allclose(np.moveaxis(waves.on_grid(_GRID), 0, -1), expected, atol=1e-5)


def test_waves_have_unit_variance_and_obey_their_limits():
    waves = random_waves(_generator(3), count=60, channels=1, wavelength_mm=(6.0, 18.0))
    points = np.random.default_rng(0).uniform(-500.0, 500.0, (20000, 3))
    # The standard error of a variance from 20,000 points is about 0.01.
    assert abs(waves.at(points).var() - 1.0) < 0.05
    assert limited(waves, rms=5.0, steepness=0.3).steepness() <= 0.3 + 1e-12


def test_bodies_differ_in_what_they_draw():
    drawn = [draw_variation(_generator(seed)) for seed in range(12)]
    assert len({variation.fat_mm for variation in drawn}) == 12
    assert {variation.table for variation in drawn} == {True, False}
    assert any(variation.breast > 0.0 for variation in drawn)
    assert any(variation.breast == 0.0 for variation in drawn)
