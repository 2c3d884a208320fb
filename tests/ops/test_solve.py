import torch

from samereg.ops.solve import conjugate_gradient


def spd(seed: int, size: int = 40) -> torch.Tensor:
    factor = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor @ factor.T + 0.1 * torch.eye(size, dtype=torch.float64)


def test_solves_positive_definite_systems_with_any_start_and_preconditioner():
    matrix = spd(0)
    right = torch.arange(40.0, dtype=torch.float64)
    expected = torch.linalg.solve(matrix, right)
    for precondition in (lambda r: r, lambda r: r / matrix.diag()):
        for start in (torch.zeros_like(right), right):
            found = conjugate_gradient(
                lambda x: matrix @ x, right, precondition=precondition, start=start, tolerance=1e-12, max_iterations=400
            )
            torch.testing.assert_close(found.solution, expected, atol=1e-6, rtol=1e-6)
            assert found.residual <= 1e-12


def test_the_exact_preconditioner_needs_one_step():
    matrix = spd(1)
    inverse = torch.linalg.inv(matrix)
    right = torch.ones(40, dtype=torch.float64)
    found = conjugate_gradient(
        lambda x: matrix @ x, right, precondition=lambda r: inverse @ r, start=torch.zeros_like(right), tolerance=1e-8
    )
    assert found.iterations == 1


def test_nothing_to_solve_gives_zero():
    zero = torch.zeros(3)
    found = conjugate_gradient(lambda x: x, zero, precondition=lambda r: r, start=torch.ones(3))
    assert torch.equal(found.solution, zero)


def test_stops_at_its_limit_and_says_how_far_it_came():
    matrix = spd(2)
    right = torch.ones(40, dtype=torch.float64)
    found = conjugate_gradient(
        lambda x: matrix @ x, right, precondition=lambda r: r, start=torch.zeros_like(right), max_iterations=2
    )
    assert found.iterations == 2
    assert found.residual > 1e-6
