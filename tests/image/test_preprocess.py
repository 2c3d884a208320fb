import pytest
import torch

from laws import GRIDS, every_grid, points_inside
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid, bounding_grid, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.image.preprocess import blur_sigma_vox, to_model_space, window_hu
from samereg.image.resample import resample_volume


def linear_hu(points_mm: torch.Tensor) -> torch.Tensor:
    centre = GRIDS["LPS"].centre_mm
    return (points_mm - centre) @ torch.tensor([1.0, -0.7, 0.5], dtype=torch.float64) - 100.0


def test_the_window_maps_its_ends_to_minus_one_and_one():
    found = window_hu(torch.tensor([-3000.0, -800.0, -200.0, 400.0, 3000.0]))
    torch.testing.assert_close(found, torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))


@every_grid
@pytest.mark.parametrize("spacing_mm", [2.0, 6.0])
def test_linear_intensities_stay_where_they_were_in_the_world(grid, spacing_mm):
    volume = Volume(data=linear_hu(voxel_centres_mm(grid)).float()[None], grid=grid)
    model = to_model_space(volume, spacing_mm=spacing_mm)
    assert model.grid.is_close(bounding_grid(grid, spacing_mm=spacing_mm))
    assert model.grid.spacing_mm == (spacing_mm,) * 3
    # Well inside: smoothing and clamping change a ramp near the border alone.
    centres = voxel_centres_mm(model.grid)
    inside = grid.contains(centres, margin_vox=-4.0)
    assert int(inside.sum()) > 100
    torch.testing.assert_close(model.data[0][inside], window_hu(linear_hu(centres[inside]).float()), atol=1e-4, rtol=0)


@every_grid
def test_values_stay_in_range_and_the_outside_is_background(grid):
    generator = torch.Generator().manual_seed(0)
    volume = Volume(data=2000.0 * torch.randn(1, *grid.shape, generator=generator), grid=grid)
    model = to_model_space(volume)
    assert model.background == -1.0
    assert float(model.data.abs().max()) <= 1.0
    beyond = ~grid.contains(voxel_centres_mm(model.grid))
    assert bool((model.data[0][beyond] == -1.0).all())


def test_a_scan_in_model_space_is_only_windowed():
    grid = axis_aligned_grid((20, 24, 28), (2.0, 2.0, 2.0), (-7.0, 3.5, 11.0))
    data = 300.0 * torch.randn(1, *grid.shape, generator=torch.Generator().manual_seed(0))
    model = to_model_space(Volume(data=data, grid=grid))
    assert model.grid.is_close(grid)
    torch.testing.assert_close(model.data, window_hu(data))


def test_flipped_and_permuted_axes_change_nothing():
    grid = axis_aligned_grid((20, 24, 28), (3.0, 1.5, 1.0))
    data = 300.0 * torch.randn(1, *grid.shape, generator=torch.Generator().manual_seed(0))
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(torch.tensor([19.0, 0.0, 0.0]))
    affine[:3, 0] *= -1.0
    permuted = affine[:, [2, 0, 1, 3]]
    other = Volume(data=data.flip(1).permute(0, 3, 1, 2), grid=type(grid)(shape=(28, 20, 24), affine=permuted))
    expected = to_model_space(Volume(data=data, grid=grid)).data
    torch.testing.assert_close(to_model_space(other).data, expected, atol=1e-5, rtol=0)


def test_the_separable_way_agrees_with_smoothing_and_sampling():
    grid = axis_aligned_grid((40, 44, 48), (1.2, 0.8, 1.0))
    data = 200.0 * torch.randn(1, *grid.shape, generator=torch.Generator().manual_seed(0))
    tilted = grid.affine.clone()
    # A tilt of 0.1 voxel over the volume: too much for the separable way, too little to matter.
    tilted[0, 0] += 0.1 / 40.0
    straight, general = (
        to_model_space(Volume(data=data, grid=type(grid)(shape=grid.shape, affine=a))) for a in (grid.affine, tilted)
    )
    centre = (slice(None), slice(2, 20), slice(2, 14), slice(2, 20))
    torch.testing.assert_close(general.data[centre], straight.data[centre], atol=0.05, rtol=0)


def test_coarsening_does_not_alias():
    # Stripes of 2 mm period vanish on a grid of 4 mm instead of turning into coarse stripes.
    grid = axis_aligned_grid((8, 8, 200), (4.0, 4.0, 1.0))
    stripes = torch.where(torch.arange(200) % 2 == 0, 200.0, -600.0).expand(1, *grid.shape).contiguous()
    volume = Volume(data=stripes, grid=grid)
    smoothed = to_model_space(volume, spacing_mm=4.0).data[..., 5:-5]
    naive = window_hu(resample_volume(volume, Affine.identity(), bounding_grid(grid, spacing_mm=4.0)).data)
    assert float(smoothed.abs().max()) < 0.05
    assert float(naive.abs().max()) > 0.5


def test_padding_does_not_bleed_into_the_scan():
    grid = axis_aligned_grid((20, 20, 40), (1.0, 1.0, 1.0))
    scan = torch.zeros(1, *grid.shape)
    volumes = []
    for padding in (-1024.0, -3024.0):
        scan[..., :10] = padding
        volumes.append(to_model_space(Volume(data=scan.clone(), grid=grid)).data)
    torch.testing.assert_close(volumes[0], volumes[1])


def test_the_blur_is_none_without_coarsening_and_grows_with_it():
    assert blur_sigma_vox(0.5) == blur_sigma_vox(1.0) == 0.0
    assert 0.0 < blur_sigma_vox(1.5) < blur_sigma_vox(3.0)


def test_single_slices_are_handled():
    grid = axis_aligned_grid((1, 20, 30), (5.0, 1.0, 1.0))
    model = to_model_space(Volume(data=torch.zeros(1, *grid.shape), grid=grid))
    assert model.data.shape[1] == 1
    assert points_inside(grid, 3).shape == (3, 3)
