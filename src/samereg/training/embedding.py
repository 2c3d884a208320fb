"""Self-supervised training of the embedding network; resumes to the bit on one CPU."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from samereg.errors import UsageError
from samereg.nets.build import build_embedding
from samereg.nets.embedding import EmbeddingNet
from samereg.training.batches import CrossPair, PairBatch, cross_batch, local_batch, whole_batch
from samereg.training.checkpoint import (
    Checkpoint,
    optimiser_tensors,
    read_checkpoint,
    restore_optimiser,
    write_checkpoint,
)
from samereg.training.contrast import ContrastiveModel, ContrastLoss
from samereg.training.crosses import find_crosses
from samereg.training.log import TrainingLog
from samereg.training.scans import TrainingScan
from samereg.training.settings import EmbeddingTraining

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]
"""Called after each step with steps done, steps in all, and the loss."""

SEED_STRIDE = 1_000_003
"""Prime, so that (seed, step, rank) give different streams."""


def train_embedding(
    scans: list[TrainingScan],
    settings: EmbeddingTraining,
    run: Path,
    *,
    fabric: Fabric,
    on_progress: Progress | None = None,
) -> EmbeddingNet:
    """The trained network, from scans without labels.

    Steps take turns: local crops of several scans, a nearly whole pair of views of one scan and, from
    `cross_from` on, nearly whole views of two scans whose stable matches the embedding itself found. Every
    random draw is a function of (seed, step, rank), so a run that was interrupted goes on from its last
    checkpoint as if it had not been.

    Args:
        scans: at least one; model space.
        settings: the recipe.
        run: directory for checkpoint and log; a checkpoint in it is resumed.
        fabric: device, number of processes; launched.
        on_progress: called after each step.

    Returns:
        The network with the averaged weights, on the CPU, single precision.

    Raises:
        UsageError: no scans, or a checkpoint of other settings.
        FileError: a damaged checkpoint.
    """
    if not scans:
        raise UsageError("training needs at least one scan, got none")
    trainer = _Trainer(scans, settings, fabric)
    found = read_checkpoint(run)
    if found is not None:
        trainer.restore(found)
    log = TrainingLog(run, first_step=trainer.step) if fabric.is_global_zero else None
    while trainer.step < settings.steps:
        started = time.monotonic()
        loss, kind = trainer.advance()
        if log and trainer.step % settings.log_every in (0, 1, 2, 3):
            log.write(trainer.step, kind, loss, settings.rate(trainer.step), time.monotonic() - started)
        if fabric.is_global_zero and trainer.step % settings.save_every == 0:
            write_checkpoint(trainer.checkpoint(), run)
        if on_progress:
            on_progress(trainer.step, settings.steps, float(loss.total))
    if fabric.is_global_zero:
        write_checkpoint(trainer.checkpoint(), run)
    return trainer.averaged()


class _Trainer:
    """Weights, moments, averaged weights and cross pairs between steps."""

    def __init__(self, scans: list[TrainingScan], settings: EmbeddingTraining, fabric: Fabric) -> None:
        self.scans, self.settings, self.fabric = scans, settings, fabric
        self.step = 0
        self.crosses: list[CrossPair] = []
        torch.manual_seed(settings.seed)
        net = build_embedding(settings.network)
        self.bare = ContrastiveModel(net, settings.contrast, torch.bfloat16)
        optimiser = torch.optim.AdamW(
            self.bare.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = {name: p.detach().clone() for name, p in net.state_dict().items()}
        self.model, self.optimiser = fabric.setup(self.bare, optimiser)

    def advance(self) -> tuple[ContrastLoss, str]:
        """One optimiser step."""
        settings, step = self.settings, self.step
        if step >= settings.cross_from and (step - settings.cross_from) % settings.cross_every == 0:
            self.crosses = find_crosses(
                self.averaged(),
                self.scans,
                count=settings.cross_pairs,
                generator=self._generator(step, rank=-1),
                device=self.fabric.device,
                dtype=self.bare.dtype,
            )
        generator = self._generator(step, rank=self.fabric.global_rank)
        kind = self._kind(step)
        batch = self._to_device(self._batch(kind, generator))
        ring = torch.randn(*batch.anchors.shape[:2], settings.contrast.rings, 3, generator=generator)
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate(step)
        loss: ContrastLoss = self.model(batch, ring.to(self.fabric.device))
        self.fabric.backward(loss.total)
        self.fabric.clip_gradients(self.model, self.optimiser, max_norm=settings.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._update_average()
        return loss._replace(total=loss.total.detach()), kind

    def averaged(self) -> EmbeddingNet:
        """A copy of the network with the averaged weights."""
        net = build_embedding(self.settings.network)
        net.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return net.eval()

    def checkpoint(self) -> Checkpoint:
        """The state after the last step."""
        tensors = {f"model/{k}": v for k, v in self.bare.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        tensors |= {f"optimiser/{k}": v for k, v in optimiser_tensors(self.bare, self.optimiser).items()}
        for i, cross in enumerate(self.crosses):
            name = f"cross/{i:05d}/{cross.first}/{cross.second}"
            tensors[name] = torch.cat([cross.first_vox, cross.second_vox], 1)
        return Checkpoint(step=self.step, settings=asdict(self.settings), tensors=tensors)

    def restore(self, found: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            UsageError: it was made with other settings, the number of steps before the decay excepted.
        """
        _check_resumable(found, self.settings)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}, "cross": {}}
        for full_name, value in found.tensors.items():
            part, _, name = full_name.partition("/")
            parts[part][name] = value
        self.bare.load_state_dict(parts["model"])
        self.average = {k: v.to(self.fabric.device) for k, v in parts["average"].items()}
        restore_optimiser(self.bare, self.optimiser, parts["optimiser"])
        self.crosses = [_cross(name, parts["cross"][name]) for name in sorted(parts["cross"])]
        self.step = found.step
        _LOG.info("resumed after step %d", found.step)

    def _kind(self, step: int) -> str:
        order = ("local", "cross", "whole", "cross") if self.crosses else ("local", "whole")
        return order[step % len(order)]

    def _batch(self, kind: str, generator: torch.Generator) -> PairBatch:
        if kind == "cross":
            return cross_batch(self.scans, self.crosses, self.settings.batch, generator)
        make = local_batch if kind == "local" else whole_batch
        return make(self.scans, self.settings.batch, generator)

    def _generator(self, step: int, *, rank: int) -> torch.Generator:
        seed = (self.settings.seed * SEED_STRIDE + step) * SEED_STRIDE + rank + 1
        return torch.Generator().manual_seed(seed % 2**63)

    def _to_device(self, batch: PairBatch) -> PairBatch:
        device = self.fabric.device
        return PairBatch(
            images=batch.images.to(device),
            anchors=batch.anchors.to(device),
            pools=tuple(pool.to(device) for pool in batch.pools),
            precise=batch.precise,
        )

    def _update_average(self) -> None:
        """Exponential average, younger at the start so that the first weights are forgotten."""
        keep = min(self.settings.average, self.step / (self.step + 10.0))
        with torch.no_grad():
            for name, value in self.bare.net.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)


def _check_resumable(found: Checkpoint, settings: EmbeddingTraining) -> None:
    wanted = Checkpoint(step=0, settings=asdict(settings), tensors={})
    free = {"steps", "save_every", "log_every"}
    differing = sorted(
        key
        for key in wanted.settings.keys() | found.settings.keys()
        if key not in free and _plain(wanted.settings.get(key)) != _plain(found.settings.get(key))
    )
    if differing:
        raise UsageError(f"the run's checkpoint was made with other settings: {', '.join(differing)} differ")
    if found.settings["steps"] != settings.steps:
        shorter = min(int(str(found.settings["steps"])), settings.steps)
        if found.step > shorter * (1 - settings.decay):
            raise UsageError("the number of steps cannot change once the learning rate has begun to fall")


def _plain(value: object) -> object:
    """A setting as JSON would give it back: tuples are lists."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _cross(name: str, points: Tensor) -> CrossPair:
    _, first, second = name.split("/")
    return CrossPair(first=int(first), second=int(second), first_vox=points[:, :3], second_vox=points[:, 3:])
