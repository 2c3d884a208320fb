from dataclasses import replace

import pytest
import torch

from estimate.synthetic import chest_grid, synthetic_matches
from laws import every_grid, points_inside
from samereg.errors import DegeneratePointsError
from samereg.estimate import coarse
from samereg.estimate.coarse import MIN_JACOBIAN, RegularisedFill, fill_linear, fill_regularised
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import jacobian_determinant_mm, resample_displacement
from samereg.geometry.grid import axis_aligned_grid, corners_mm, strided, voxel_centres_mm

NO_POINTS = torch.zeros(0, 3, dtype=torch.float64)


def filled(matches, **settings):
    return fill_regularised(
        matches.fixed_mm,
        matches.displacement_mm,
        weights=torch.ones(len(matches.fixed_mm), dtype=torch.float64),
        grid=matches.grid,
        settings=RegularisedFill(**settings),
    )


def error_mm(displacement: Displacement, matches) -> torch.Tensor:
    found = displacement.apply(matches.inside_mm) - matches.inside_mm
    return (found - matches.truth_mm).norm(dim=1)


@pytest.mark.parametrize(
    ("outliers", "noise_mm", "keep"), [(0.05, 4.0, 0.7), (0.1, 4.0, 0.7), (0.2, 4.0, 0.2), (0.1, 8.0, 0.7)]
)
def test_the_regularised_field_is_far_nearer_to_the_truth_than_the_interpolated_one(outliers, noise_mm, keep):
    matches = synthetic_matches(1, outliers=outliers, noise_mm=noise_mm, keep=keep)
    regularised = error_mm(filled(matches).displacement, matches).mean()
    linear = error_mm(fill_linear(matches.fixed_mm, matches.displacement_mm, matches.grid), matches).mean()
    assert regularised < 0.35 * linear
    assert regularised < 0.3 * noise_mm + 1.2


def test_the_regularised_field_is_nearer_to_the_truth_even_without_outliers_and_with_little_noise():
    matches = synthetic_matches(2, outliers=0.0, noise_mm=1.0)
    linear = fill_linear(matches.fixed_mm, matches.displacement_mm, matches.grid)
    assert error_mm(filled(matches).displacement, matches).mean() < 0.6 * error_mm(linear, matches).mean()


def test_finds_the_outliers():
    matches = synthetic_matches(3, outliers=0.2)
    clean = synthetic_matches(3, outliers=0.0)
    wild = (matches.displacement_mm - clean.displacement_mm).norm(dim=1) > 30.0
    inliers = filled(matches).inliers
    assert inliers[wild].double().mean() < 0.02
    assert inliers[~wild].double().mean() > 0.95


@pytest.mark.parametrize(
    ("smoothing_mm", "amplitude_mm"), [(13.0, 8.0), (4.0, 8.0), pytest.param(3.0, 40.0, marks=pytest.mark.slow)]
)
def test_never_folds(smoothing_mm, amplitude_mm):
    matches = synthetic_matches(4, outliers=0.3, noise_mm=10.0, keep=0.1, amplitude_mm=amplitude_mm)
    found = filled(matches, smoothing_mm=smoothing_mm, field_mm=6.0)
    assert float(jacobian_determinant_mm(found.displacement).min()) >= MIN_JACOBIAN
    on_voxels = resample_displacement(found.displacement, strided(matches.grid, 2))
    assert float(jacobian_determinant_mm(on_voxels).min()) > 0.0


def stretched_body():
    """Matches of a body 100 mm wide, and a grid around it that is twice as wide."""
    grid = axis_aligned_grid((49, 49, 49), (4.0, 4.0, 4.0), (-96.0, -96.0, -96.0))
    fixed_mm = voxel_centres_mm(axis_aligned_grid((7, 7, 7), (16.0, 16.0, 16.0), (-48.0, -48.0, -48.0))).flatten(0, 2)
    stretch = torch.tensor([0.3, -0.3, 0.2], dtype=torch.float64)
    bend_mm = 10.0 * (fixed_mm[:, [1, 2, 0]] / 48.0) ** 2
    return fixed_mm, stretch * fixed_mm + bend_mm, grid


def filled_body():
    fixed_mm, displacement_mm, grid = stretched_body()
    weights = torch.ones(len(fixed_mm), dtype=torch.float64)
    settings = RegularisedFill(smoothing_mm=7.0, lattice_mm=12.0)
    return fill_regularised(fixed_mm, displacement_mm, weights=weights, grid=grid, settings=settings).displacement


def test_a_field_levels_off_beyond_its_matches():
    _, displacement_mm, _ = stretched_body()
    assert float(filled_body().data.abs().max()) < 1.5 * float(displacement_mm.abs().max())


def test_a_field_hangs_on_its_matches_and_not_on_when_the_solver_stops(monkeypatch):
    usual = filled_body()
    monkeypatch.setattr(coarse, "FINAL_TOLERANCE", coarse.FINAL_TOLERANCE / 1000.0)
    # Up to one spacing of the matches beyond the outermost; without the penalty of slopes this is 2 mm.
    near = voxel_centres_mm(usual.grid).abs().amax(-1) < 65.0
    assert float((usual.data - filled_body().data).norm(dim=0)[near].max()) < 0.6


@pytest.mark.slow
def test_matches_that_turn_space_inside_out_are_not_followed():
    assert float(jacobian_determinant_mm(inside_out().displacement).min()) >= MIN_JACOBIAN


def test_a_field_that_distrust_does_not_unfold_is_shrunk_and_says_so(monkeypatch):
    monkeypatch.setattr(coarse, "UNFOLDING_ROUNDS", 1)
    found = inside_out()
    assert not found.outcome.converged
    assert "scaled down" in found.outcome.message
    assert float(jacobian_determinant_mm(found.displacement).min()) >= MIN_JACOBIAN


def inside_out():
    matches = synthetic_matches(4, outliers=0.0, keep=0.2)
    mirrored = replace(matches, displacement_mm=-2.0 * matches.fixed_mm)
    return filled(mirrored, outlier_mm=1000.0, field_mm=8.0, lattice_mm=24.0)


def test_the_same_matches_give_the_same_field_to_the_bit():
    matches = synthetic_matches(5, keep=0.2)
    assert torch.equal(filled(matches).displacement.data, filled(matches).displacement.data)


def test_only_ratios_of_weights_matter():
    matches = synthetic_matches(5, keep=0.2)
    weights = torch.linspace(0.1, 1.0, len(matches.fixed_mm), dtype=torch.float64)
    fields = [
        fill_regularised(
            matches.fixed_mm,
            matches.displacement_mm,
            weights=weights * scale,
            grid=matches.grid,
            settings=RegularisedFill(),
        ).displacement.data
        for scale in (1.0, 0.01, 3e5, 1e-30)
    ]
    assert all(torch.equal(field, fields[0]) for field in fields)


@every_grid
def test_a_translation_is_filled_everywhere_and_the_field_covers_the_grid(grid):
    points = points_inside(grid, 100)
    shift = torch.tensor([3.0, -7.0, 11.0], dtype=torch.float64)
    shifts = shift.expand(100, 3).contiguous()
    weights = torch.ones(100, dtype=torch.float64)
    regularised = fill_regularised(points, shifts, weights=weights, grid=grid, settings=RegularisedFill())
    for displacement in (regularised.displacement, fill_linear(points, shifts, grid)):
        assert bool(displacement.grid.contains(corners_mm(grid), margin_vox=-1.5).all())
        torch.testing.assert_close(
            displacement.data, shift.to(displacement.data)[:, None, None, None].expand_as(displacement.data),
            atol=0.1, rtol=0,
        )  # fmt: skip


def test_the_interpolated_field_passes_through_its_matches():
    matches = synthetic_matches(6, outliers=0.0, noise_mm=0.0)
    filled_mm = fill_linear(matches.fixed_mm, matches.displacement_mm, matches.grid)
    found = filled_mm.apply(matches.fixed_mm) - matches.fixed_mm
    # Matches stand on every other voxel of the field, or between two of them.
    assert float((found - matches.displacement_mm).norm(dim=1).median()) < 0.2


def test_the_interpolated_field_stays_bounded_outside_the_hull():
    matches = synthetic_matches(6, outliers=0.0)
    upper = matches.fixed_mm[:, 2] > 0
    field = fill_linear(matches.fixed_mm[upper], matches.displacement_mm[upper], matches.grid)
    assert float(field.data.abs().max()) <= float(matches.displacement_mm.abs().max())


def test_one_match_is_enough_to_interpolate_a_translation():
    shift = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    field = fill_linear(torch.zeros(1, 3, dtype=torch.float64), shift, chest_grid())
    torch.testing.assert_close(field.data, shift[0][:, None, None, None].expand_as(field.data))


def test_no_matches_and_no_weight_are_refused():
    grid = chest_grid()
    with pytest.raises(DegeneratePointsError, match="at least one match"):
        fill_linear(NO_POINTS, NO_POINTS, grid)
    with pytest.raises(DegeneratePointsError, match="at least one match"):
        fill_regularised(NO_POINTS, NO_POINTS, weights=NO_POINTS[:, 0], grid=grid, settings=RegularisedFill())
    points = torch.zeros(5, 3, dtype=torch.float64)
    with pytest.raises(DegeneratePointsError, match="weight"):
        fill_regularised(points, points, weights=points[:, 0], grid=grid, settings=RegularisedFill())
