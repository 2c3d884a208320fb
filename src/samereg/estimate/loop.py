"""The iteration loop of everything iterative: a pure step, repeated until it is done or its time is up."""

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
        step: returns the next state; changes nothing.
        state: where to begin.
        max_iterations: most steps to take.
        done: told the state before and after a step, says whether that step was the last one needed.

    >>> iterate(lambda x: x / 2, 1.0, max_iterations=9, done=lambda before, after: after < 0.2)[0]
    0.125
    """
    for iteration in range(1, max_iterations + 1):
        before, state = state, step(state)
        if done(before, state):
            return state, Outcome(converged=True, message="converged", iterations=iteration)
    message = f"stopped after {max_iterations} iterations without converging"
    return state, Outcome(converged=False, message=message, iterations=max_iterations)
