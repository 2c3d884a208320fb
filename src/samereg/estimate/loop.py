"""Generic iteration loop: repeats a pure step until convergence or a maximum number of iterations."""

from collections.abc import Callable
from typing import TypeVar

from samereg.estimate.outcome import Outcome

State = TypeVar("State")


def iterate(
    step: Callable[[State], State],
    state: State,
    *,
    max_iterations: int,
    done: Callable[[State, State], bool],
) -> tuple[State, Outcome]:
    """Last state of ``state <- step(state)``.

    Args:
        step: pure function from a state to the next.
        state: initial state.
        max_iterations: most steps to take.
        done: takes the states before and after a step; whether the iteration has converged.

    >>> iterate(lambda x: x / 2, 1.0, max_iterations=9, done=lambda before, after: after < 0.2)[0]
    0.125
    """
    for iteration in range(1, max_iterations + 1):
        before, state = state, step(state)
        if done(before, state):
            return state, Outcome(converged=True, message="converged", iterations=iteration)
    message = f"stopped after {max_iterations} iterations without converging"
    return state, Outcome(converged=False, message=message, iterations=max_iterations)
