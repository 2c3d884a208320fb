"""Training checkpoints: safetensors with settings and step in the header, written atomically."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from samereg.errors import FileError
from samereg.io.tensors import read_checked_tensors, write_tensors

FILE_NAME = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Complete state of a training.

    Attributes:
        step: number of completed steps.
        settings: of the run, as JSON values.
        tensors: parameters, optimiser moments, averaged weights and found cross pairs, by name.
    """

    step: int
    settings: dict[str, object]
    tensors: dict[str, Tensor]


def write_checkpoint(checkpoint: Checkpoint, run: Path) -> None:
    """Writes the checkpoint into the run directory, replacing the last one."""
    header = {"step": str(checkpoint.step), "settings": json.dumps(checkpoint.settings)}
    write_tensors(checkpoint.tensors, run / FILE_NAME, header=header)


def read_checkpoint(run: Path) -> Checkpoint | None:
    """Reads the run's checkpoint; None if there is none.

    Raises:
        FileError: the file is damaged or not a checkpoint.
    """
    path = run / FILE_NAME
    if not path.exists():
        return None
    try:
        tensors, header = read_checked_tensors(path)
    except FileError as error:
        raise FileError(f"{error} Remove it to restart the training.") from error
    try:
        return Checkpoint(step=int(header["step"]), settings=json.loads(header["settings"]), tensors=tensors)
    except (KeyError, ValueError) as error:
        raise FileError(f"{path}: is not a checkpoint of a training; remove it to restart the training.") from error


def optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts by parameter name."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state[parameter].items()
    }


def restore_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restores moments and step counts."""
    parameters = dict(model.named_parameters())
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter = parameters[name]
        place = parameter.device if value.ndim else torch.device("cpu")
        optimiser.state[parameter][key] = value.to(place)
