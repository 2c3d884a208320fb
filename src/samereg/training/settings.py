"""All that decides what a training of the embedding computes, besides the scans."""

from dataclasses import dataclass, field

from samereg.training.batches import BatchSettings
from samereg.training.contrast import Contrast
from samereg.training.resume import rate_at


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingTraining:
    """Settings of one training.

    Attributes:
        network: a name of `nets/build.py`.
        steps: optimiser steps in all.
        warm_up: steps over which the rate rises from 0.
        decay: last share of the steps, over which the rate falls to 0. Before it, a run can be resumed with
            another number of steps and equals a run that was started so.
        learning_rate: AdamW's, between.
        weight_decay: AdamW's.
        gradient_norm: longer gradients are scaled down to this.
        average: decay of the averaged weights, which are what is kept in the end.
        cross_from: first step whose pairs may be two scans matched by the embedding itself.
        cross_every: steps after which those matches are made anew.
        cross_pairs: scan pairs matched each time.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log.
        seed: decides everything random.
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
