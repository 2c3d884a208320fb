import pytest
import torch

from samereg.errors import InputError
from samereg.metrics.landmarks import target_error


def test_measures_distances_and_their_quantiles():
    target = torch.zeros(5, 3, dtype=torch.float64)
    landed = torch.tensor([[0, 0, 0], [3, 4, 0], [0, 0, 10], [1, 0, 0], [0, 2, 0]], dtype=torch.float64)
    found = target_error(landed, target)
    assert (found.count, found.mean_mm, found.median_mm, found.max_mm) == (5, 3.6, 2.0, 10.0)
    assert (found.p25_mm, found.p75_mm) == (1.0, 5.0)
    assert found.p95_mm == pytest.approx(9.0)


def test_no_landmarks_are_refused():
    with pytest.raises(InputError, match="at least one"):
        target_error(torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.float64))
