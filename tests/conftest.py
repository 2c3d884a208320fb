"""What every test may rely on."""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from samereg.app.record import describe_device
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.nets.precision import fastest_dtype

INSTRUCTION_LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")

# Laws draw the same examples in every run, and a busy computer is no failure.
STEADY = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", max_examples=25, **STEADY)
settings.register_profile("thorough", max_examples=500, **STEADY)  # --hypothesis-profile=thorough
settings.load_profile("steady")

# Workers of pytest-xdist share the cores; more threads than cores slow all of them down. Set in the environment too,
# for the commands that tests start.
if "OMP_NUM_THREADS" not in os.environ:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    threads = max(1, min(2, (os.cpu_count() or 1) // workers))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def pytest_report_header() -> str:
    """The processor and what it may use: results in bfloat16 and in single precision differ."""
    limits = [f"{name}={os.environ[name]}" for name in INSTRUCTION_LIMITS if name in os.environ]
    dtype = str(fastest_dtype(torch.device("cpu"))).removeprefix("torch.")
    return ", ".join([describe_device(torch.device("cpu")), torch.backends.cpu.get_cpu_capability(), dtype, *limits])


@pytest.fixture(autouse=True)
def same_logging_in_every_test() -> Iterator[None]:
    """A command sets logging up for its process; the next test finds it as it was."""
    logger = logging.getLogger("samereg")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers = before[2]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB; skips for users who may not mount."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if shutil.which("mount")
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


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
