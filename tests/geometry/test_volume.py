import pytest
import torch

from samereg.errors import GeometryError
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume


def test_refuses_data_that_does_not_fit_the_grid():
    grid = axis_aligned_grid((4, 5, 6))
    with pytest.raises(GeometryError, match=r"\(4, 5, 7\) does not fit .*\(4, 5, 6\)"):
        Volume(data=torch.zeros(1, 4, 5, 7), grid=grid)
    with pytest.raises(GeometryError, match=r"\(5, 5, 6\) does not fit"):
        LabelMap(data=torch.zeros(5, 5, 6, dtype=torch.int32), grid=grid)


def test_ct_is_the_default():
    volume = Volume(data=torch.zeros(1, 4, 5, 6), grid=axis_aligned_grid((4, 5, 6)))
    assert (volume.background, volume.stored_dtype) == (-1024.0, "int16")
