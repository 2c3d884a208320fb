"""Selection of device, threads and seed."""

import os
import re

import torch

from samereg.app.allocator import keep_freed_memory
from samereg.app.settings import MachineSettings, TrainingMachineSettings
from samereg.errors import UsageError
from samereg.ops.ambient import ITK_THREADS


def prepare_machine(settings: MachineSettings | TrainingMachineSettings, *, seed: int) -> torch.device:
    """Selects the device, and sets threads and the global seed for the process or the current `own_torch` block.

    Args:
        settings: requested device and threads.
        seed: of torch's global generator.

    Raises:
        UsageError: a missing device, or a negative number.
    """
    if settings.threads < 0:
        raise UsageError(f"Got {settings.threads} threads; --threads must be 0 (all cores) or more.")
    if seed < 0:
        raise UsageError(f"Got seed {seed}; --seed must be 0 or more.")
    if settings.threads:
        torch.set_num_threads(settings.threads)
        os.environ[ITK_THREADS] = str(settings.threads)
    keep_freed_memory()
    torch.manual_seed(seed)
    return choose_device(settings.device)


def choose_device(name: str) -> torch.device:
    """Device by name.

    Raises:
        UsageError: the name is not auto, cpu, cuda or cuda:N, or there is no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "cpu":
        return torch.device("cpu")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if available else "cpu")
    found = re.fullmatch(r"cuda(?::(\d+))?", name)
    if found is None:
        raise UsageError(f"Got device '{name}'; --device must be auto, cpu, cuda or cuda:N.")
    number = int(found[1] or 0)
    if number >= available:
        raise UsageError(f"Got device '{name}'; this computer has {available} NVIDIA GPUs that torch can use.")
    return torch.device("cuda", number)
