"""Trains an embedding on scans in files."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from samereg.app.machine import prepare_machine
from samereg.app.plain import to_plain
from samereg.app.progress import OnProgress
from samereg.app.record import versions
from samereg.app.scans import find_scans, read_scan
from samereg.app.settings import TrainingMachineSettings
from samereg.errors import UsageError
from samereg.io.atomic import atomic_file, claimed_directory, contents
from samereg.nets.embedding import EmbeddingNet
from samereg.ops.ambient import own_torch
from samereg.training.checkpoint import FILE_NAME as CHECKPOINT_NAME
from samereg.training.embedding import train_embedding
from samereg.training.log import EVENTS, LOG_NAME
from samereg.training.scans import TrainingScan, prepare_scan
from samereg.training.settings import EmbeddingTraining
from samereg.weights.registry import read_weights, write_weights

WEIGHTS_NAME = "embedding.safetensors"
CARD_NAME = "embedding.md"

CARD = """\
# Anatomical embedding of CT

Network `{network}` of samereg {samereg}, trained without labels by `samereg train embedding`.

- steps: {steps}
- seed: {seed}
- software: samereg {samereg}, torch {torch}
- input: CT resampled to 2 mm, HU window (-800, 400) mapped to (-1, 1)
- output: a local and a global vector of unit length for each voxel
- intended use: matching places of the body between CT scans like those below; not for clinical use
- accuracy: not measured during training; evaluate on labelled pairs that are not listed below

## Scans ({count})

{listing}

Whether the weights may be redistributed depends on the licences of these scans.

## Settings

```json
{settings}
```
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedEmbedding:
    """Result of a training run.

    Attributes:
        weights: file that `samereg register --embedding` takes.
        scans: number of training scans.
        steps: total number of optimiser steps, including resumed parts.
    """

    weights: Path
    scans: int
    steps: int


@own_torch()
def train_from_files(
    data: Path,
    run: Path,
    *,
    settings: EmbeddingTraining,
    machine: TrainingMachineSettings | None = None,
    init: str | None = None,
    on_progress: OnProgress | None = None,
) -> TrainedEmbedding:
    """Trains an embedding on unlabelled CT, or resumes a stopped run.

    Args:
        data: folder of scans, or text file with one path per line.
        run: folder of the run; if it holds a checkpoint, training resumes exactly from there.
        settings: of the training.
        machine: device and threads.
        init: initial weights for fine-tuning, a shipped name or a path; None for random ones.
        on_progress: told about each step.

    Raises:
        UsageError: `run` is not a training run.
        InputError: an invalid scan.
        WeightsError: initial weights are missing or damaged.
    """
    refuse_foreign_folder(run)
    machine = machine or TrainingMachineSettings()
    fabric = launch(prepare_machine(machine, seed=settings.seed), gpus=machine.gpus)
    with claimed_run(run, fabric):
        start = _first_weights(init, settings)
        paths = find_scans(data)
        scans = read_training_scans(paths, on_progress=on_progress)

        def report(step: int, steps: int, loss: float) -> None:
            if on_progress is not None:
                on_progress(f"training, loss {loss:.3f}", step, steps)

        net = train_embedding(scans, settings, run, fabric=fabric, start=start, on_progress=report)
        if fabric.is_global_zero:
            write_trained(net, run, settings=settings, scans=paths)
    return TrainedEmbedding(weights=run / WEIGHTS_NAME, scans=len(scans), steps=settings.steps)


def _first_weights(name: str | None, settings: EmbeddingTraining) -> EmbeddingNet | None:
    if name is None:
        return None
    found = read_weights(name)
    if found.network != settings.network:
        raise UsageError(f"{name}: holds the network '{found.network}'; need '{settings.network}'")
    return found.net


def write_trained(net: EmbeddingNet, run: Path, *, settings: EmbeddingTraining, scans: Sequence[Path]) -> None:
    """Writes the weights and their model card to the folder of the run."""
    header = {"settings": json.dumps(to_plain(settings))}
    write_weights(net, run / WEIGHTS_NAME, network=settings.network, header=header)
    with atomic_file(run / CARD_NAME) as path:
        path.write_text(model_card(settings, scans), encoding="utf-8", errors="backslashreplace")


def model_card(settings: EmbeddingTraining, scans: Sequence[Path]) -> str:
    """Model card of trained weights, as Markdown."""
    software = versions()
    listing = "\n".join(f"- `{path.name}`" for path in scans)
    return CARD.format(
        network=settings.network,
        steps=settings.steps,
        seed=settings.seed,
        samereg=software.samereg,
        torch=software.packages["torch"],
        count=len(scans),
        listing=listing,
        settings=json.dumps(to_plain(settings), indent=2),
    )


def launch(device: torch.device, *, gpus: int) -> Fabric:
    """Launches one process per GPU, or uses this process on a CPU.

    Raises:
        UsageError: more GPUs requested than available, or several processes on a CPU.
    """
    available = torch.cuda.device_count() if device.type == "cuda" else 1
    if not 1 <= gpus <= available:
        raise UsageError(f"Got {gpus} GPUs for device '{device}'; need 1 to {available}.")
    if device.type == "cpu":
        fabric = Fabric(accelerator="cpu", devices=1)
    else:
        fabric = Fabric(accelerator="cuda", devices=gpus if gpus > 1 else [device.index])
    fabric.launch()
    return fabric


def read_training_scans(paths: Sequence[Path], *, on_progress: OnProgress | None = None) -> list[TrainingScan]:
    """Reads training scans one at a time, so that only one is in memory at full resolution."""
    scans = []
    for number, path in enumerate(paths):
        scans.append(prepare_scan(read_scan(path), name=path.name))
        if on_progress is not None:
            on_progress("reading scans", number + 1, len(paths))
    return scans


@contextmanager
def claimed_run(run: Path, fabric: Fabric) -> Iterator[None]:
    """Context that locks the folder of a run against other trainings, in the first of several processes.

    Raises:
        UsageError: another training is using it, or it is not a training run.
        FileError: it cannot be written.
    """
    if not fabric.is_global_zero:
        yield
        return
    with claimed_directory(run):
        refuse_foreign_folder(run)
        yield


def refuse_foreign_folder(run: Path) -> None:
    """Checks that a folder is empty or a training run.

    Raises:
        UsageError: `run` is a file, or a folder with other files.
    """
    if run.is_file():
        raise UsageError(f"{run}: is a file; need a folder for the run.")
    if run.is_dir() and not (run / CHECKPOINT_NAME).is_file() and any(map(_is_foreign, contents(run))):
        raise UsageError(f"{run}: holds files but no training run; give another output.")


def _is_foreign(path: Path) -> bool:
    """Whether a file is not among those of a training stopped before its first checkpoint."""
    return path.name != LOG_NAME and not path.name.startswith(EVENTS)
