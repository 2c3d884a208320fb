"""Device, threads and seed."""

import platform

import pytest
import torch

from samereg.app.allocator import keep_freed_memory
from samereg.app.machine import choose_device, prepare_machine
from samereg.app.settings import MachineSettings
from samereg.errors import UsageError


def test_auto_is_a_device_of_this_computer() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "cpu:1"])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--device must be"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="NVIDIA GPUs that torch can use"):
        choose_device("cuda:99")


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(UsageError, match="Got threads=-1; need 0 or more"):
        MachineSettings(device="cpu", threads=-1)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="must be 0"):
        prepare_machine(MachineSettings(device="cpu"), seed=-1)


def test_threads_and_seed_hold_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "7")
    before = torch.get_num_threads()
    try:
        prepare_machine(MachineSettings(device="cpu", threads=1), seed=5)
        first = torch.rand(3)
        assert torch.get_num_threads() == 1
        prepare_machine(MachineSettings(device="cpu"), seed=5)
        assert torch.equal(torch.rand(3), first)
    finally:
        torch.set_num_threads(before)


def test_freed_memory_is_kept_where_the_allocator_can_be_told():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
