"""Shared parts of trainings: random streams by step, averaged weights, and the check before resuming."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from samereg.errors import UsageError
from samereg.training.checkpoint import Checkpoint

SEED_STRIDE = 1_000_003
"""Prime factor, so that (seed, step, rank) give different streams."""

FREE = frozenset({"steps", "save_every", "log_every"})
"""Settings that may change on resuming."""


def step_generator(seed: int, step: int, *, rank: int) -> torch.Generator:
    """Random stream of one step of one process, independent of interruptions."""
    mixed = (seed * SEED_STRIDE + step) * SEED_STRIDE + rank + 1
    return torch.Generator().manual_seed(mixed % 2**63)


def rate_at(step: int, *, steps: int, peak: float, warm_up: int, decay: float) -> float:
    """Learning rate: increasing over `warm_up` steps, constant, decreasing to 0 over the last fraction `decay`."""
    left = (steps - step) / max(1.0, decay * steps)
    return peak * min(1.0, (step + 1) / max(1, warm_up), left)


def average_into(average: dict[str, Tensor], net: nn.Module, *, keep: float, step: int) -> None:
    """Updates averaged weights, faster at the start to forget the initial ones."""
    keep = min(keep, step / (step + 10.0))
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - keep)
            else:
                average[name].copy_(value)


def check_resumable(found: Checkpoint, settings: Any, *, decay: float) -> None:
    """Checks that a checkpoint has the same settings.

    Args:
        found: the run's checkpoint.
        settings: current settings, a dataclass with a field `steps`.
        decay: fraction of the steps over which the learning rate decreases.

    Raises:
        UsageError: a relevant setting differs, or the number of steps after the decay has started.
    """
    wanted: Mapping[str, object] = asdict(settings)
    differing = sorted(
        key
        for key in wanted.keys() | found.settings.keys()
        if key not in FREE and plain(wanted.get(key)) != plain(found.settings.get(key))
    )
    if differing:
        raise UsageError(f"the run's checkpoint has other settings: {', '.join(differing)} differ")
    if found.settings["steps"] != settings.steps:
        shorter = min(int(str(found.settings["steps"])), settings.steps)
        if found.step > shorter * (1 - decay):
            raise UsageError("the number of steps cannot change after the learning rate has started to decay")


def split_by_prefix(tensors: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, dict[str, Tensor]]:
    """Tensors of a checkpoint named `prefix/name`, by prefix and name."""
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    for full_name, value in tensors.items():
        prefix, _, name = full_name.partition("/")
        parts[prefix][name] = value
    return parts


def plain(value: object) -> object:
    """A setting as read from JSON: tuples become lists."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
