"""What every test may rely on."""

import logging
import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume

# Laws draw the same examples in every run, and a busy computer is no failure.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# Tests run beside each other; more threads than cores slow all of them down.
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(autouse=True)
def same_logging_in_every_test() -> Iterator[None]:
    """A command sets logging up for its process; the next test finds it as it was."""
    logger = logging.getLogger("samereg")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers = before[2]


BODY_LABEL, LEFT_LUNG_LABEL, RIGHT_LUNG_LABEL = 1, 2, 3


@pytest.fixture(scope="session")
def small_labels() -> LabelMap:
    """An ellipsoid with two ellipsoids inside, 48 x 40 x 56 voxels of 5 mm."""
    grid = axis_aligned_grid((48, 40, 56), (5.0, 5.0, 5.0), (-140.0, -100.0, -120.0))
    data = torch.zeros(grid.shape, dtype=torch.int64)
    data[_ellipsoid(grid.shape, (24, 20, 28), (22, 16, 24))] = BODY_LABEL
    data[_ellipsoid(grid.shape, (24, 19, 16), (14, 9, 8))] = LEFT_LUNG_LABEL
    data[_ellipsoid(grid.shape, (24, 19, 40), (14, 9, 8))] = RIGHT_LUNG_LABEL
    return LabelMap(data=data, grid=grid)


@pytest.fixture(scope="session")
def small_ct(small_labels: LabelMap) -> Volume:
    """A body of soft tissue with two lungs in air, with noise, in HU."""
    hu = torch.tensor([-1000.0, 40.0, -850.0, -850.0])[small_labels.data]
    noise = torch.randn(hu.shape, generator=torch.Generator().manual_seed(0))
    return Volume(data=(hu + 15 * noise).round()[None], grid=small_labels.grid)


def _ellipsoid(shape: tuple[int, int, int], centre: tuple[int, int, int], radii: tuple[int, int, int]) -> torch.Tensor:
    axes = [((torch.arange(n) - c) / r) ** 2 for n, c, r in zip(shape, centre, radii, strict=True)]
    return axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1
