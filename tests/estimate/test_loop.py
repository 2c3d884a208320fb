from samereg.estimate.loop import iterate


def test_stops_when_done_and_counts_its_steps():
    state, outcome = iterate(
        lambda x: (x + 2.0 / x) / 2.0, 1.0, max_iterations=20, done=lambda before, after: abs(before - after) < 1e-12
    )
    assert abs(state**2 - 2.0) < 1e-12
    assert outcome.converged
    assert outcome.iterations < 10


def test_says_when_its_time_was_up():
    state, outcome = iterate(lambda x: x + 1, 0, max_iterations=5, done=lambda _, after: after > 100)
    assert (state, outcome.iterations, outcome.converged) == (5, 5, False)
    assert "5 iterations" in outcome.message


def test_no_iterations_leave_the_state_alone():
    state, outcome = iterate(lambda x: x + 1, 3, max_iterations=0, done=lambda _, __: True)
    assert (state, outcome.converged) == (3, False)
