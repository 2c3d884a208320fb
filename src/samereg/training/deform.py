"""Unsupervised training of the deformation network of SAM-VoxelMorph; resuming is bitwise exact on one CPU."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from samereg.errors import UsageError
from samereg.nets.build import build_deform
from samereg.nets.deform import DeformNet
from samereg.nets.precision import training_dtype
from samereg.ops.ambient import own_torch
from samereg.training.aligned import AlignedPair, CropBatch, CropSettings, DeformScan, crop_batch
from samereg.training.checkpoint import read_checkpoint, write_checkpoint
from samereg.training.deform_loss import DeformLoss, DeformLossSettings, DeformModel, Form
from samereg.training.log import TrainingLog
from samereg.training.resume import rate_at, step_generator
from samereg.training.state import TrainingState

Progress = Callable[[int, int, float], None]
"""Progress callback: takes the completed steps, the total number of steps, and the loss."""

Variant = Literal["vm", "sam-loss", "sam-corr", "sam-vm"]
"""Rows of the paper's table 2: with or without the SAM loss and the SAM correlation feature."""

COLUMNS = ("loss", "ncc", "embedding", "roughness", "folding")
"""Logged values of each step, in the order of `DeformLoss`."""

VALIDATION_SEED = 7919
"""Seed of the validation crops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformTraining:
    """Settings of one training.

    Attributes:
        network: a name of `nets/build.py`.
        variant: which of SAM loss and SAM correlation it has; see `Variant`.
        form: whether the network predicts a velocity or a displacement.
        steps: total number of optimiser steps, each with `crops.pairs` crops.
        warm_up: steps over which the learning rate increases from 0.
        decay: last fraction of the steps, over which the learning rate decreases to 0.
        learning_rate: maximum, of Adam.
        gradient_norm: maximum norm for gradient clipping.
        average: decay of the averaged weights, which are the final result.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log.
        validate_every: steps between validations.
        validation_batches: number of batches per validation.
        seed: of all random numbers.
        crops: shape of a batch.
        loss: weights of the terms.
    """

    network: str = "phnn"
    variant: Variant = "sam-vm"
    form: Form = "velocity"
    steps: int = 1500
    warm_up: int = 30
    decay: float = 0.3
    learning_rate: float = 1e-3
    gradient_norm: float = 1.0
    average: float = 0.99
    save_every: int = 50
    log_every: int = 10
    validate_every: int = 100
    validation_batches: int = 8
    seed: int = 0
    crops: CropSettings = field(default_factory=CropSettings)
    loss: DeformLossSettings = field(default_factory=DeformLossSettings)

    @property
    def correlation(self) -> bool:
        """Whether the network takes the SAM correlation."""
        return self.variant in ("sam-corr", "sam-vm")

    @property
    def effective_loss(self) -> DeformLossSettings:
        """The loss weights, without the SAM loss if the variant has none."""
        if self.variant in ("sam-loss", "sam-vm"):
            return self.loss
        return DeformLossSettings(**{**asdict(self.loss), "embedding": 0.0})

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, constant, linear decay."""
        return rate_at(step, steps=self.steps, peak=self.learning_rate, warm_up=self.warm_up, decay=self.decay)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairSet:
    """Scans and their aligned pairs.

    Attributes:
        scans: with features in a common basis.
        pairs: of these scans.
    """

    scans: list[DeformScan]
    pairs: list[AlignedPair]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeformData:
    """Training data.

    Attributes:
        train: training pairs; at least one.
        validation: pairs whose loss is only logged.
        start: initial weights (fine-tuning); None for random ones.
    """

    train: PairSet
    validation: PairSet | None = None
    start: DeformNet | None = None


@own_torch()
def train_deform(
    data: DeformData,
    settings: DeformTraining,
    run: Path,
    *,
    fabric: Fabric,
    on_progress: Progress | None = None,
) -> DeformNet:
    """Trains a network on aligned pairs of scans without labels.

    All random numbers are functions of (seed, step, rank), so an interrupted run resumes from its last
    checkpoint as if uninterrupted.

    Args:
        data: pairs, and initial weights.
        settings: of the training.
        run: directory for checkpoint and log; a checkpoint in it is resumed.
        fabric: device, number of processes; launched.
        on_progress: called after each step.

    Returns:
        The network with the averaged weights, on the CPU, single precision.

    Raises:
        UsageError: no pairs, or a checkpoint of other settings.
        FileError: a damaged checkpoint.
    """
    if not data.train.pairs:
        raise UsageError("training needs at least one pair of scans with common anatomy, got none")
    trainer = _Trainer(data, settings, fabric)
    state = trainer.state
    found = read_checkpoint(run)
    if found is not None:
        state.restore(found)
    log = TrainingLog(run, columns=COLUMNS, first_step=state.step) if fabric.is_global_zero else None
    while state.step < settings.steps:
        began = time.monotonic()
        loss = trainer.advance()
        if log:
            _log_step(trainer, loss, log, seconds=time.monotonic() - began)
        if fabric.is_global_zero and state.step % settings.save_every == 0:
            write_checkpoint(state.checkpoint(), run)
        if on_progress:
            on_progress(state.step, settings.steps, float(loss.total))
    if fabric.is_global_zero:
        write_checkpoint(state.checkpoint(), run)
    return trainer.averaged()


class _Trainer:
    """State of a training between steps."""

    def __init__(self, data: DeformData, settings: DeformTraining, fabric: Fabric) -> None:
        self.data, self.settings, self.fabric = data, settings, fabric
        torch.manual_seed(settings.seed)
        net = build_deform(settings.network, correlation=settings.correlation)
        if data.start is not None:
            net.load_state_dict(data.start.state_dict())
        self.bare = DeformModel(net, settings.effective_loss, settings.form, training_dtype(fabric.device))
        optimiser = torch.optim.Adam(self.bare.parameters(), lr=settings.learning_rate)
        self.state = TrainingState(self.bare, net, optimiser, recipe=settings, fabric=fabric)

    def advance(self) -> DeformLoss:
        """One optimiser step."""
        generator = step_generator(self.settings.seed, self.state.step, rank=self.fabric.global_rank)
        train = self.data.train
        batch = self._to_device(crop_batch(train.scans, train.pairs, self.settings.crops, generator))
        loss: DeformLoss = self.state.model(batch)
        self.state.take_step(loss.total)
        return loss._replace(total=loss.total.detach())

    def validate(self, validation: PairSet) -> DeformLoss:
        """Mean loss of the averaged weights over fixed crops of the validation pairs."""
        model = DeformModel(self.averaged().to(self.fabric.device), self.bare.settings, self.bare.form, self.bare.dtype)
        losses = []
        for number in range(self.settings.validation_batches):
            generator = step_generator(VALIDATION_SEED, number, rank=0)
            batch = crop_batch(validation.scans, validation.pairs, self.settings.crops, generator)
            with torch.inference_mode():
                losses.append(torch.stack(tuple(model(self._to_device(batch)))))
        return DeformLoss(*torch.stack(losses).mean(0))

    def averaged(self) -> DeformNet:
        """A copy of the network with the averaged weights."""
        net = build_deform(self.settings.network, correlation=self.settings.correlation)
        net.load_state_dict(self.state.averaged())
        return net.eval()

    def _to_device(self, batch: CropBatch) -> CropBatch:
        device = self.fabric.device
        return CropBatch(
            inputs=batch.inputs.to(device),
            fixed=batch.fixed.to(device),
            moved=batch.moved.to(device),
            fixed_features=batch.fixed_features.to(device),
            moved_features=batch.moved_features.to(device),
            mask=batch.mask.to(device),
        )


def _log_step(trainer: _Trainer, loss: DeformLoss, log: TrainingLog, *, seconds: float) -> None:
    """Logs a step, and the validation after it."""
    step, settings = trainer.state.step, trainer.settings
    rate = settings.rate(step)
    if step % settings.log_every == 0:
        log.write(step, "train", _values(loss), rate=rate, seconds=seconds)
    if trainer.data.validation and step % settings.validate_every == 0:
        began = time.monotonic()
        judged = trainer.validate(trainer.data.validation)
        log.write(step, "validation", _values(judged), rate=rate, seconds=time.monotonic() - began)


def _values(loss: DeformLoss) -> dict[str, float]:
    return dict(zip(COLUMNS, map(float, loss), strict=True))
