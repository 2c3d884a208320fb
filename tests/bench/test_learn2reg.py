import math

import pytest
import torch

from samereg.bench.learn2reg import challenge_scores, offset_log_jacobian_std
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap


def test_a_uniform_stretch_has_no_spread_of_the_offset_logarithm():
    ramp = torch.stack(torch.meshgrid(*[torch.arange(9, dtype=torch.float64)] * 3, indexing="ij"))[None]
    assert offset_log_jacobian_std(0.1 * ramp) == pytest.approx(0.0, abs=1e-12)


def test_the_offset_keeps_a_fold_near_one():
    """|J| is 1 on one half and -1 on the other: log 4 and log 2, as the challenge has it; no logarithm otherwise."""
    field = torch.zeros(1, 3, 13, 9, 9, dtype=torch.float64)
    field[0, 0, 7:] = -2.0 * torch.arange(6, dtype=torch.float64)[:, None, None]
    assert 0.2 < offset_log_jacobian_std(field) < math.log(4 / 2)


@pytest.mark.filterwarnings("ignore")  # the other library's own
def test_distances_are_in_voxels_and_absent_labels_count_for_nothing():
    pytest.importorskip("surface_distance")
    grid = axis_aligned_grid((20, 20, 20), (5.0, 2.0, 2.0))
    data = torch.zeros(grid.shape, dtype=torch.int64)
    data[6:12, 6:12, 6:12] = 1
    moving = data.clone()
    moving[0:2] = 3  # a label that the fixed scan lacks
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 10.0], dtype=torch.float64))
    found = challenge_scores(LabelMap(data=data, grid=grid), LabelMap(data=moving, grid=grid), shift)
    assert found.dropped == (2, 3)
    assert found.hd95_vox == pytest.approx(2.0)
    assert found.dice == pytest.approx(4 / 6)
