"""Unsupervised training of the deformation network of SAM-VoxelMorph; resumes to the bit on one CPU."""

import logging
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
from samereg.training.aligned import AlignedPair, CropBatch, CropSettings, DeformScan, crop_batch
from samereg.training.checkpoint import (
    Checkpoint,
    optimiser_tensors,
    read_checkpoint,
    restore_optimiser,
    write_checkpoint,
)
from samereg.training.deform_loss import DeformLoss, DeformLossSettings, DeformModel, Form
from samereg.training.log import TrainingLog
from samereg.training.resume import average_into, check_resumable, rate_at, split_by_prefix, step_generator

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]
"""Called after each step with steps done, steps in all, and the loss."""

Variant = Literal["vm", "sam-loss", "sam-corr", "sam-vm"]
"""Rows of the paper's table 2: with or without the SAM loss and the SAM correlation feature."""

COLUMNS = ("loss", "ncc", "embedding", "roughness", "folding")
"""What the log holds of each step, in the order of `DeformLoss`."""

VALIDATION_SEED = 7919
"""Validation looks at the same crops every time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformTraining:
    """Settings of one training.

    Attributes:
        network: a name of `nets/build.py`.
        variant: which of SAM loss and SAM correlation it has; see `Variant`.
        form: whether the network predicts a velocity or a displacement.
        steps: optimiser steps in all, each of `crops.pairs` crops.
        warm_up: steps over which the rate rises from 0.
        decay: last share of the steps, over which the rate falls to 0.
        learning_rate: Adam's.
        gradient_norm: longer gradients are scaled down to this.
        average: decay of the averaged weights, which are what is kept in the end.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log.
        validate_every: steps between looks at the validation scans.
        validation_batches: batches in each of them.
        seed: decides everything random.
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
        """The loss weights with the SAM loss left out where the variant has none."""
        if self.variant in ("sam-loss", "sam-vm"):
            return self.loss
        return DeformLossSettings(**{**asdict(self.loss), "embedding": 0.0})

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, constant, linear decay."""
        return rate_at(step, steps=self.steps, peak=self.learning_rate, warm_up=self.warm_up, decay=self.decay)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairSet:
    """Scans and the aligned pairs among them.

    Attributes:
        scans: with features of one reduction.
        pairs: of these scans.
    """

    scans: list[DeformScan]
    pairs: list[AlignedPair]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeformData:
    """What a training sees.

    Attributes:
        train: pairs to learn from; at least one.
        validation: pairs whose loss is logged; nothing is fitted to them.
        start: weights to begin with (fine-tuning); None for random ones.
    """

    train: PairSet
    validation: PairSet | None = None
    start: DeformNet | None = None


def train_deform(
    data: DeformData,
    settings: DeformTraining,
    run: Path,
    *,
    fabric: Fabric,
    on_progress: Progress | None = None,
) -> DeformNet:
    """The trained network, from aligned pairs of scans without labels.

    Every random draw is a function of (seed, step, rank), so a run that was interrupted goes on from its last
    checkpoint as if it had not been.

    Args:
        data: pairs, and weights to begin with.
        settings: the recipe.
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
    found = read_checkpoint(run)
    if found is not None:
        trainer.restore(found)
    log = TrainingLog(run, columns=COLUMNS, first_step=trainer.step) if fabric.is_global_zero else None
    while trainer.step < settings.steps:
        began = time.monotonic()
        loss = trainer.advance()
        if log:
            _write_down(trainer, loss, log, seconds=time.monotonic() - began)
        if fabric.is_global_zero and trainer.step % settings.save_every == 0:
            write_checkpoint(trainer.checkpoint(), run)
        if on_progress:
            on_progress(trainer.step, settings.steps, float(loss.total))
    if fabric.is_global_zero:
        write_checkpoint(trainer.checkpoint(), run)
    return trainer.averaged()


class _Trainer:
    """Weights, moments and averaged weights between steps."""

    def __init__(self, data: DeformData, settings: DeformTraining, fabric: Fabric) -> None:
        self.data, self.settings, self.fabric = data, settings, fabric
        self.step = 0
        torch.manual_seed(settings.seed)
        net = build_deform(settings.network, correlation=settings.correlation)
        if data.start is not None:
            net.load_state_dict(data.start.state_dict())
        self.bare = DeformModel(net, settings.effective_loss, settings.form, torch.bfloat16)
        optimiser = torch.optim.Adam(self.bare.parameters(), lr=settings.learning_rate)
        self.average = {name: p.detach().clone() for name, p in net.state_dict().items()}
        self.model, self.optimiser = fabric.setup(self.bare, optimiser)

    def advance(self) -> DeformLoss:
        """One optimiser step."""
        settings = self.settings
        generator = step_generator(settings.seed, self.step, rank=self.fabric.global_rank)
        batch = self._to_device(crop_batch(self.data.train.scans, self.data.train.pairs, settings.crops, generator))
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate(self.step)
        loss: DeformLoss = self.model(batch)
        self.fabric.backward(loss.total)
        self.fabric.clip_gradients(self.model, self.optimiser, max_norm=settings.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        average_into(self.average, self.bare.net, keep=settings.average, step=self.step)
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
        net.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return net.eval()

    def checkpoint(self) -> Checkpoint:
        """The state after the last step."""
        tensors = {f"model/{k}": v for k, v in self.bare.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        tensors |= {f"optimiser/{k}": v for k, v in optimiser_tensors(self.bare, self.optimiser).items()}
        return Checkpoint(step=self.step, settings=asdict(self.settings), tensors=tensors)

    def restore(self, found: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            UsageError: it was made with other settings, the number of steps before the decay excepted.
        """
        check_resumable(found, self.settings, decay=self.settings.decay)
        parts = split_by_prefix(found.tensors, ("model", "average", "optimiser"))
        self.bare.load_state_dict(parts["model"])
        self.average = {k: v.to(self.fabric.device) for k, v in parts["average"].items()}
        restore_optimiser(self.bare, self.optimiser, parts["optimiser"])
        self.step = found.step
        _LOG.info("resumed after step %d", found.step)

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


def _write_down(trainer: _Trainer, loss: DeformLoss, log: TrainingLog, *, seconds: float) -> None:
    """Rows of a step that is to be logged, and of the validation after it."""
    step, settings = trainer.step, trainer.settings
    rate = settings.rate(step)
    if step % settings.log_every == 0:
        log.write(step, "train", _values(loss), rate=rate, seconds=seconds)
    if trainer.data.validation and step % settings.validate_every == 0:
        began = time.monotonic()
        judged = trainer.validate(trainer.data.validation)
        log.write(step, "validation", _values(judged), rate=rate, seconds=time.monotonic() - began)


def _values(loss: DeformLoss) -> dict[str, float]:
    return dict(zip(COLUMNS, map(float, loss), strict=True))
