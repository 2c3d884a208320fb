import torch
from hypothesis import given
from hypothesis import strategies as st

from samereg.matching.trust import FIELD_ERROR, MATCH_ERROR, VIEW, beyond_mm


@given(similarity=st.floats(-1.0, 0.9), cycle=st.floats(0.0, 70.0), more=st.floats(0.01, 0.1))
def test_less_similarity_and_a_longer_cycle_never_mean_a_smaller_error(similarity, cycle, more):
    at = MATCH_ERROR.expected_mm(torch.tensor([similarity]), torch.tensor([cycle]))
    better = MATCH_ERROR.expected_mm(torch.tensor([similarity + more]), torch.tensor([cycle]))
    worse = MATCH_ERROR.expected_mm(torch.tensor([similarity]), torch.tensor([cycle + 10.0]))
    assert 0.0 <= float(better) < float(at) < float(worse)


def test_a_registration_whose_places_are_found_elsewhere_is_less_sure():
    similarity = torch.tensor([0.9, 0.9])
    here, elsewhere = FIELD_ERROR.expected_mm(similarity, torch.tensor([0.0, 20.0])).tolist()
    assert here < elsewhere


def test_deep_inside_is_inside_and_far_outside_is_outside():
    depth = torch.tensor([-100.0, 100.0])
    assert VIEW.is_outside(depth, depth, torch.tensor([0.0, 0.0])).tolist() == [False, True]


def test_distance_beyond_a_box_is_that_of_the_worst_coordinate():
    low, high = torch.zeros(3), torch.full((3,), 10.0)
    points = torch.tensor([[5.0, 5.0, 5.0], [5.0, 5.0, 13.0], [-4.0, 12.0, 5.0], [1.0, 5.0, 5.0]])
    assert beyond_mm(points, low, high).tolist() == [-5.0, 3.0, 4.0, -1.0]
