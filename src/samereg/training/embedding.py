"""Self-supervised training of the embedding network; resuming is bitwise exact on one CPU."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from samereg.errors import UsageError
from samereg.nets.build import build_embedding
from samereg.nets.embedding import EmbeddingNet
from samereg.nets.precision import training_dtype
from samereg.ops.ambient import own_torch
from samereg.training.batches import CrossPair, PairBatch, cross_batch, local_batch, whole_batch
from samereg.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from samereg.training.contrast import ContrastiveModel, ContrastLoss
from samereg.training.crosses import find_crosses
from samereg.training.log import TrainingLog
from samereg.training.resume import step_generator
from samereg.training.scans import TrainingScan
from samereg.training.settings import EmbeddingTraining
from samereg.training.state import TrainingState

Progress = Callable[[int, int, float], None]
"""Progress callback: takes the completed steps, the total number of steps, and the loss."""

COLUMNS = ("loss", "global", "local", "global_recall", "local_recall")
"""Logged values of each step, in the order of `ContrastLoss`."""


@own_torch()
def train_embedding(
    scans: list[TrainingScan],
    settings: EmbeddingTraining,
    run: Path,
    *,
    fabric: Fabric,
    start: EmbeddingNet | None = None,
    on_progress: Progress | None = None,
) -> EmbeddingNet:
    """Trains a network on scans without labels.

    Steps alternate between local crops of several scans, a nearly complete pair of views of one scan and, from
    `cross_from` on, nearly complete views of two scans matched by the embedding itself. All
    random numbers are functions of (seed, step, rank), so an interrupted run resumes from its last
    checkpoint as if uninterrupted.

    Args:
        scans: at least one; model space.
        settings: of the training.
        run: directory for checkpoint and log; a checkpoint in it is resumed.
        fabric: device, number of processes; launched.
        start: initial weights (fine-tuning); None for random ones.
        on_progress: called after each step.

    Returns:
        The network with the averaged weights, on the CPU, single precision.

    Raises:
        UsageError: no scans, or a checkpoint of other settings.
        FileError: a damaged checkpoint.
    """
    if not scans:
        raise UsageError("training needs at least one scan, got none")
    trainer = _Trainer(scans, settings, fabric, start=start)
    found = read_checkpoint(run)
    if found is not None:
        trainer.restore(found)
    state = trainer.state
    log = TrainingLog(run, columns=COLUMNS, first_step=state.step) if fabric.is_global_zero else None
    while state.step < settings.steps:
        started = time.monotonic()
        loss, kind = trainer.advance()
        if log and state.step % settings.log_every in (0, 1, 2, 3):
            values = dict(zip(COLUMNS, map(float, loss), strict=True))
            rate = settings.rate(state.step)
            log.write(state.step, kind, values, rate=rate, seconds=time.monotonic() - started)
        if fabric.is_global_zero and state.step % settings.save_every == 0:
            write_checkpoint(trainer.checkpoint(), run)
        if on_progress:
            on_progress(state.step, settings.steps, float(loss.total))
    if fabric.is_global_zero:
        write_checkpoint(trainer.checkpoint(), run)
    return trainer.averaged()


class _Trainer:
    """State of a training between steps, including cross pairs."""

    def __init__(
        self,
        scans: list[TrainingScan],
        settings: EmbeddingTraining,
        fabric: Fabric,
        *,
        start: EmbeddingNet | None,
    ) -> None:
        self.scans, self.settings, self.fabric = scans, settings, fabric
        self.crosses: list[CrossPair] = []
        torch.manual_seed(settings.seed)
        net = build_embedding(settings.network)
        if start is not None:
            net.load_state_dict(start.state_dict())
        self.bare = ContrastiveModel(net, settings.contrast, training_dtype(fabric.device))
        optimiser = torch.optim.AdamW(
            self.bare.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.state = TrainingState(self.bare, net, optimiser, recipe=settings, fabric=fabric)

    def advance(self) -> tuple[ContrastLoss, str]:
        """One optimiser step."""
        settings, step = self.settings, self.state.step
        if step >= settings.cross_from and (step - settings.cross_from) % settings.cross_every == 0:
            self.crosses = find_crosses(
                self.averaged(),
                self.scans,
                count=settings.cross_pairs,
                generator=step_generator(settings.seed, step, rank=-1),
                device=self.fabric.device,
                dtype=self.bare.dtype,
            )
        generator = step_generator(settings.seed, step, rank=self.fabric.global_rank)
        kind = self._kind(step)
        batch = self._to_device(self._batch(kind, generator))
        ring = torch.randn(*batch.anchors.shape[:2], settings.contrast.rings, 3, generator=generator)
        loss: ContrastLoss = self.state.model(batch, ring.to(self.fabric.device))
        self.state.take_step(loss.total)
        return loss._replace(total=loss.total.detach()), kind

    def averaged(self) -> EmbeddingNet:
        """A copy of the network with the averaged weights."""
        net = build_embedding(self.settings.network)
        net.load_state_dict(self.state.averaged())
        return net.eval()

    def checkpoint(self) -> Checkpoint:
        """The state after the last step, including cross pairs."""
        crosses = {
            f"cross/{i:05d}/{cross.first}/{cross.second}": torch.cat([cross.first_vox, cross.second_vox], 1)
            for i, cross in enumerate(self.crosses)
        }
        return self.state.checkpoint(crosses)

    def restore(self, found: Checkpoint) -> None:
        """Resumes from a checkpoint.

        Raises:
            UsageError: it has other settings, except for the number of steps before the decay.
        """
        crosses = self.state.restore(found, further="cross")
        self.crosses = [_cross(name, crosses[name]) for name in sorted(crosses)]

    def _kind(self, step: int) -> str:
        order = ("local", "cross", "whole", "cross") if self.crosses else ("local", "whole")
        return order[step % len(order)]

    def _batch(self, kind: str, generator: torch.Generator) -> PairBatch:
        if kind == "cross":
            return cross_batch(self.scans, self.crosses, self.settings.batch, generator)
        make = local_batch if kind == "local" else whole_batch
        return make(self.scans, self.settings.batch, generator)

    def _to_device(self, batch: PairBatch) -> PairBatch:
        device = self.fabric.device
        return PairBatch(
            images=batch.images.to(device),
            anchors=batch.anchors.to(device),
            pools=tuple(pool.to(device) for pool in batch.pools),
            precise=batch.precise,
        )


def _cross(name: str, points: Tensor) -> CrossPair:
    _, first, second = name.split("/")
    return CrossPair(first=int(first), second=int(second), first_vox=points[:, :3], second_vox=points[:, 3:])
