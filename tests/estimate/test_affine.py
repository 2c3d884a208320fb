import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laws import rotation
from samereg.errors import DegeneratePointsError
from samereg.estimate.affine import fit_affine, fit_rigid, fit_robust, fit_similarity
from samereg.geometry.affine import Affine

seeds = st.integers(0, 2**32 - 1)
FITS = [fit_affine, fit_rigid, fit_similarity]


def random_points(seed: int, count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 100.0 * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def weights_of(points: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(points), dtype=torch.float64)


def random_rotation(seed: int) -> torch.Tensor:
    x, y, z, turn = torch.rand(4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    return rotation((x + 0.1, y - 0.5, z), 360.0 * turn)


@given(seed=seeds)
def test_affine_finds_any_affine_map_exactly(seed):
    matrix = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    truth = Affine.from_parts(matrix[:, :3], 100.0 * matrix[:, 3])
    points = random_points(seed)
    found = fit_affine(points, truth.apply(points), weights=weights_of(points))
    torch.testing.assert_close(found.matrix, truth.matrix, atol=1e-8, rtol=0)


@given(seed=seeds, scale=st.floats(0.2, 4.0))
def test_similarity_finds_any_similarity_exactly(seed, scale):
    truth = Affine.from_parts(scale * random_rotation(seed), torch.tensor([7.0, -300.0, 90.0], dtype=torch.float64))
    points = random_points(seed)
    found = fit_similarity(points, truth.apply(points), weights=weights_of(points))
    torch.testing.assert_close(found.matrix, truth.matrix, atol=1e-8, rtol=0)


@given(seed=seeds, scale=st.floats(0.2, 4.0))
def test_rigid_finds_the_rotation_whatever_the_scale(seed, scale):
    turn = random_rotation(seed)
    points = random_points(seed)
    found = fit_rigid(points, scale * points @ turn.T, weights=weights_of(points))
    torch.testing.assert_close(found.linear, turn, atol=1e-8, rtol=0)


@given(seed=seeds)
@pytest.mark.parametrize("fit", [fit_rigid, fit_similarity])
def test_never_returns_a_mirror(fit, seed):
    points = random_points(seed)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert float(torch.linalg.det(fit(points, mirrored, weights=weights_of(points)).linear)) > 0.0


@given(seed=seeds, factor=st.floats(0.01, 100.0))
@pytest.mark.parametrize("fit", FITS)
def test_only_ratios_of_weights_matter(fit, seed, factor):
    points, matches = random_points(seed), random_points(seed + 1)
    weights = points[:, 0].abs() + 0.1
    first, second = (fit(points, matches, weights=w).matrix for w in (weights, factor * weights))
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fit", FITS)
def test_matches_of_weight_zero_do_not_count(fit):
    points = random_points(0)
    matches = points + torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    matches[::2] = random_points(1)[::2]
    weights = weights_of(points)
    weights[::2] = 0.0
    expected = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(fit(points, matches, weights=weights).matrix, expected.matrix, atol=1e-9, rtol=0)


def test_affine_is_the_least_squares_solution():
    points, matches = random_points(0), random_points(1)
    weights = points[:, 1].abs()
    found = fit_affine(points, matches, weights=weights)
    residual = found.apply(points) - matches
    ones = torch.ones(len(points), 1, dtype=torch.float64)
    normal = (weights[:, None] * torch.cat([points, ones], 1)).T @ residual
    torch.testing.assert_close(normal, torch.zeros_like(normal), atol=1e-6, rtol=0)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_points_are_refused(fit, count):
    points = random_points(0, count)
    with pytest.raises(DegeneratePointsError, match=r"matches.* with .*weight"):
        fit(points, points, weights=weights_of(points))


@pytest.mark.parametrize("fit", [*FITS, fit_robust])
def test_weights_of_zero_are_refused(fit):
    points = random_points(0)
    with pytest.raises(DegeneratePointsError, match="with weight 0"):
        fit(points, points, weights=torch.zeros(50, dtype=torch.float64))


@pytest.mark.parametrize("fit", [fit_affine, fit_robust])
def test_points_in_a_plane_are_refused_for_an_affine_map(fit):
    points = random_points(0) * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    tilted = points @ random_rotation(3).T
    with pytest.raises(DegeneratePointsError, match="in one plane"):
        fit(tilted, tilted, weights=weights_of(points))


@pytest.mark.parametrize("fit", [fit_rigid, fit_similarity])
def test_points_on_a_line_are_refused_for_a_rigid_map_but_a_plane_will_do(fit):
    flat = random_points(0) * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    found = fit(flat, flat @ random_rotation(1).T, weights=weights_of(flat))
    torch.testing.assert_close(found.linear, random_rotation(1), atol=1e-8, rtol=0)
    line = flat * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    with pytest.raises(DegeneratePointsError, match="on one line"):
        fit(line, line, weights=weights_of(line))


def test_a_similarity_of_matches_in_one_place_is_refused():
    points = random_points(0)
    with pytest.raises(DegeneratePointsError, match="all matches coincide"):
        fit_similarity(points, torch.zeros_like(points), weights=weights_of(points))


def crowded_matches(seed: int, *, outliers: float, noise_mm: float) -> tuple[torch.Tensor, torch.Tensor, Affine]:
    """About 1100 points, nine tenths of them in the upper third of the body, matched by a map 12 % off."""
    generator = torch.Generator().manual_seed(seed)
    radii = torch.tensor([190.0, 130.0, 200.0], dtype=torch.float64)
    unit = 2.0 * torch.rand(6000, 3, generator=generator, dtype=torch.float64) - 1.0
    body = unit[unit.square().sum(1) < 1.0] * radii
    crowded = body[(body[:, 2] > 60.0) | (torch.rand(len(body), generator=generator) < 0.05)]
    skew = 0.12 * torch.randn(3, 3, generator=generator, dtype=torch.float64)
    shift = 60.0 * torch.randn(3, generator=generator, dtype=torch.float64)
    truth = Affine.from_parts(torch.eye(3, dtype=torch.float64) + skew, shift)
    matches = truth.apply(crowded) + noise_mm * torch.randn(crowded.shape, generator=generator, dtype=torch.float64)
    wild = torch.rand(len(crowded), generator=generator) < outliers
    matches[wild] = body[: int(wild.sum())] + shift
    return crowded, matches, truth


@pytest.mark.parametrize(("outliers", "noise_mm"), [(0.1, 5.0), (0.3, 10.0), (0.5, 5.0), (0.5, 10.0)])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_outliers_do_not_move_the_robust_map(seed, outliers, noise_mm):
    fixed, moving, truth = crowded_matches(seed, outliers=outliers, noise_mm=noise_mm)
    found = fit_robust(fixed, moving, weights=weights_of(fixed))
    corners = torch.cartesian_prod(*[torch.tensor([-r, r], dtype=torch.float64) for r in (130.0, 90.0, 140.0)])
    error_mm = (found.affine.apply(corners) - truth.apply(corners)).norm(dim=1)
    # The noise alone leaves about 3 sigma / sqrt(matches below), a hundred of them at worst.
    assert float(error_mm.max()) < 0.9 * noise_mm
    assert found.outcome.converged


def test_the_robust_map_knows_its_inliers():
    fixed, moving, truth = crowded_matches(0, outliers=0.4, noise_mm=3.0)
    found = fit_robust(fixed, moving, weights=weights_of(fixed))
    true_inliers = (truth.apply(fixed) - moving).norm(dim=1) < 15.0
    assert bool(found.inliers[true_inliers].all())


@pytest.mark.parametrize("fit", [fit_affine, *(pytest.param(fit, marks=pytest.mark.slow) for fit in FITS[1:])])
def test_the_same_seed_gives_the_same_map_to_the_bit(fit):
    fixed, moving, _ = crowded_matches(1, outliers=0.4, noise_mm=8.0)
    first, second = (fit_robust(fixed, moving, weights=weights_of(fixed), fit=fit, seed=7) for _ in range(2))
    assert torch.equal(first.affine.matrix, second.affine.matrix)


@pytest.mark.slow
def test_the_robust_rigid_map_is_rigid():
    fixed, moving, _ = crowded_matches(1, outliers=0.4, noise_mm=3.0)
    linear = fit_robust(fixed, moving, weights=weights_of(fixed), fit=fit_rigid).affine.linear
    torch.testing.assert_close(linear @ linear.T, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
    assert math.isclose(float(torch.linalg.det(linear)), 1.0, abs_tol=1e-9)
