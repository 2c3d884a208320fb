"""The state of a training on disk: tensors as safetensors, settings and step in its header; written whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from samereg.errors import FileError
from samereg.io.atomic import atomic_file

FILE_NAME = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Everything that the next step depends on.

    Attributes:
        step: steps done.
        settings: of the run, as JSON values.
        tensors: parameters, optimiser moments, averaged weights and found cross pairs, by name.
    """

    step: int
    settings: dict[str, object]
    tensors: dict[str, Tensor]


def write_checkpoint(checkpoint: Checkpoint, run: Path) -> None:
    """Put the checkpoint into the run directory, in place of the last one."""
    header = {"step": str(checkpoint.step), "settings": json.dumps(checkpoint.settings)}
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    with atomic_file(run / FILE_NAME) as path:
        try:
            save_file(tensors, path, metadata=header)
        except SafetensorError as error:
            raise FileError(f"{run / FILE_NAME}: cannot be written: {error}.") from error


def read_checkpoint(run: Path) -> Checkpoint | None:
    """The run's checkpoint; None where there is none.

    Raises:
        FileError: the file is damaged.
    """
    path = run / FILE_NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{path}: the checkpoint cannot be read ({error}); remove it to start anew") from error
    return Checkpoint(step=int(header["step"]), settings=json.loads(header["settings"]), tensors=tensors)


def optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts by parameter name."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state[parameter].items()
    }


def restore_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put moments and step counts back."""
    parameters = dict(model.named_parameters())
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter = parameters[name]
        place = parameter.device if value.ndim else torch.device("cpu")
        optimiser.state[parameter][key] = value.to(place)
