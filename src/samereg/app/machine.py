"""What a run computes on: device, threads and seed, chosen once before anything is loaded."""

import os
import re

import torch

from samereg.app.allocator import keep_freed_memory
from samereg.app.settings import MachineSettings, TrainingMachineSettings
from samereg.errors import UsageError
from samereg.ops.ambient import ITK_THREADS


def prepare_machine(settings: MachineSettings | TrainingMachineSettings, *, seed: int) -> torch.device:
    """Device to compute on, with threads and the global seed set for the process, or until an `own_torch` block ends.

    Args:
        settings: what the user wants.
        seed: of torch's global generator.

    Raises:
        UsageError: a device that does not exist, or a negative number.
    """
    if settings.threads < 0:
        raise UsageError(f"Got {settings.threads} threads; --threads has to be 0 (all cores) or more.")
    if seed < 0:
        raise UsageError(f"Got seed {seed}; --seed has to be 0 or more.")
    if settings.threads:
        torch.set_num_threads(settings.threads)
        os.environ[ITK_THREADS] = str(settings.threads)
    keep_freed_memory()
    torch.manual_seed(seed)
    return choose_device(settings.device)


def choose_device(name: str) -> torch.device:
    """Device by name.

    Raises:
        UsageError: the name is none of auto, cpu, cuda and cuda:N, or this computer has no such device.

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
        raise UsageError(f"Got device '{name}'; --device has to be auto, cpu, cuda or cuda:N.")
    number = int(found[1] or 0)
    if number >= available:
        raise UsageError(f"Got device '{name}'; this computer has {available} NVIDIA GPUs that torch can use.")
    return torch.device("cuda", number)
