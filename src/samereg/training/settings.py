"""Settings of training an embedding."""

from dataclasses import dataclass, field

from samereg.training.batches import BatchSettings
from samereg.training.contrast import Contrast
from samereg.training.resume import rate_at


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingTraining:
    """Settings of one training.

    Attributes:
        network: a name of `nets/build.py`.
        steps: total number of optimiser steps.
        warm_up: steps over which the learning rate increases from 0.
        decay: last fraction of the steps, over which the learning rate decreases to 0. Before it, a run can resume
            with another number of steps, as if started so.
        learning_rate: maximum, of AdamW.
        weight_decay: of AdamW.
        gradient_norm: maximum norm for gradient clipping.
        average: decay of the averaged weights, which are the final result.
        cross_from: first step with pairs of two scans matched by the embedding itself.
        cross_every: steps between updates of those matches.
        cross_pairs: number of scan pairs matched per update.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log.
        seed: of all random numbers.
        batch: shape of a batch and its augmentation.
        contrast: the loss.
    """

    network: str = "compact"
    steps: int = 1550
    warm_up: int = 100
    decay: float = 0.25
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    gradient_norm: float = 1.0
    average: float = 0.995
    cross_from: int = 750
    cross_every: int = 400
    cross_pairs: int = 40
    save_every: int = 50
    log_every: int = 10
    seed: int = 0
    batch: BatchSettings = field(default_factory=BatchSettings)
    contrast: Contrast = field(default_factory=Contrast)

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, constant, linear decay."""
        return rate_at(step, steps=self.steps, peak=self.learning_rate, warm_up=self.warm_up, decay=self.decay)
