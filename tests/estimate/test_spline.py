import pytest
import torch
from scipy.fft import dctn

from laws import GRIDS, points_inside
from samereg.estimate.spline import (
    apply_along,
    cosines,
    evaluate,
    lattice_around,
    sampling,
    sampling_matrix,
    squared_frequencies,
)
from samereg.estimate.spline_fit import residual_mm, solve, spline_problem
from samereg.geometry.grid import bounding_grid, voxel_centres_mm

GRID = bounding_grid(GRIDS["oblique"], spacing_mm=5.0)
LATTICE = lattice_around(GRID, 14.0)


def control_of(function) -> torch.Tensor:
    return function(voxel_centres_mm(LATTICE.grid))


def random_control(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*LATTICE.grid.shape, 3, generator=generator, dtype=torch.float64)


def test_splines_reproduce_linear_functions():
    matrix = torch.tensor([[1.0, 2.0, -0.5], [0.3, 0.0, 1.0], [0.0, 4.0, 1.0]], dtype=torch.float64)
    points = points_inside(GRID, 200)
    found = sampling_matrix(LATTICE, points) @ control_of(lambda p: p @ matrix + 1.0).reshape(-1, 3).numpy()
    torch.testing.assert_close(torch.from_numpy(found), points @ matrix + 1.0, atol=1e-9, rtol=0)


def test_evaluation_on_a_grid_is_sampling_at_its_voxels():
    control = random_control()
    sampled = sampling_matrix(LATTICE, voxel_centres_mm(GRID).reshape(-1, 3)) @ control.reshape(-1, 3).numpy()
    expected = torch.from_numpy(sampled).reshape(*GRID.shape, 3).movedim(-1, 0)
    torch.testing.assert_close(evaluate(LATTICE, control, GRID), expected, atol=1e-12, rtol=0)


def on_a_lattice() -> torch.Tensor:
    points = voxel_centres_mm(GRID)[1::4, 2::3, ::5].reshape(-1, 3)
    return points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[: len(points) // 2]]


@pytest.mark.parametrize("points", [on_a_lattice(), points_inside(GRID, 200)], ids=["lattice", "scattered"])
def test_sampling_in_two_steps_is_sampling_in_one(points):
    control = random_control()
    steps = sampling(LATTICE, points)
    nodes = apply_along(control.movedim(-1, 0), steps.along).flatten(1).T
    expected = sampling_matrix(LATTICE, points) @ control.reshape(-1, 3).numpy()
    torch.testing.assert_close(
        torch.from_numpy(steps.pick @ nodes.numpy()), torch.from_numpy(expected), atol=1e-12, rtol=0
    )
    assert (steps.spread != steps.pick.T).nnz == 0


def test_points_of_a_lattice_are_nodes_themselves():
    assert sampling(LATTICE, on_a_lattice()).pick.nnz == len(on_a_lattice())
    assert sampling(LATTICE, points_inside(GRID, 200)).pick.nnz == 200 * 4**3


def test_the_cosines_are_those_of_the_discrete_cosine_transform():
    control = random_control()
    along_d, along_h, along_w = (matrix.T for matrix in cosines(LATTICE))
    found = apply_along(control.movedim(-1, 0), (along_d, along_h, along_w)).movedim(0, -1)
    torch.testing.assert_close(found, torch.from_numpy(_cosines(control)), atol=1e-12, rtol=0)


def test_the_penalty_of_the_lowest_frequency_is_zero():
    frequencies = squared_frequencies(LATTICE)
    assert float(frequencies[0, 0, 0]) == 0.0
    assert float(frequencies.flatten()[1:].min()) > 0.0


@pytest.mark.parametrize("smoothing_mm", [5.0, 20.0])
def test_no_other_control_points_cost_less(smoothing_mm):
    points = points_inside(GRID, 300)
    displacement = torch.randn(300, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.linspace(0.5, 1.5, 300, dtype=torch.float64)
    problem = spline_problem(
        LATTICE, points, displacement, weights=weights, smoothing_mm=smoothing_mm, levelling_mm=30.0
    )
    solved = solve(problem, weights, start=problem.level, tolerance=1e-4)
    assert solved.residual <= 1e-4

    def cost(control):
        roughness = torch.from_numpy(_cosines(control)).square() * problem.penalty[..., None]
        return float((weights * residual_mm(problem, control).square()).sum() + roughness.sum())

    for seed in range(3):
        assert cost(solved.solution + 0.1 * random_control(seed)) > cost(solved.solution)


def test_a_smaller_smoothing_follows_the_points_more_closely():
    points = points_inside(GRID, 300)
    displacement = torch.randn(300, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ones = torch.ones(300, dtype=torch.float64)
    problems = [
        spline_problem(LATTICE, points, displacement, weights=ones, smoothing_mm=s, levelling_mm=30.0)
        for s in (3.0, 30.0)
    ]
    near, far = (residual_mm(p, solve(p, ones, start=p.level, tolerance=1e-6).solution).mean() for p in problems)
    assert near < far


def _cosines(control):
    return dctn(control.numpy(), axes=(0, 1, 2), norm="ortho")
