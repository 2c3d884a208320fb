"""State of a network in training: weights, Adam's moments, averaged weights; saved and restored."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from samereg.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from samereg.training.resume import average_into, check_resumable, split_by_prefix

_LOG = logging.getLogger(__name__)

_PARTS = ("model", "average", "optimiser")


class Recipe(Protocol):
    """Settings of a training used by a step; a frozen dataclass."""

    @property
    def decay(self) -> float:
        """Last fraction of the steps, over which the learning rate decreases to 0."""

    @property
    def gradient_norm(self) -> float:
        """Maximum norm for gradient clipping."""

    @property
    def average(self) -> float:
        """Decay of the averaged weights."""

    def rate(self, step: int) -> float:
        """Learning rate of a step."""


class TrainingState:
    """State of one training.

    Attributes:
        step: number of completed steps.
        model: module that computes the loss, wrapped for the devices.
        bare: the same module without wrappers.
    """

    def __init__(self, bare: nn.Module, net: nn.Module, optimiser: Optimizer, *, recipe: Any, fabric: Fabric) -> None:
        """Initialise the state.

        Args:
            bare: module that computes the loss; contains `net`.
            net: trained network.
            optimiser: of the parameters of `bare`.
            recipe: settings, a dataclass that is a `Recipe`.
            fabric: device, number of processes; launched.
        """
        self.step = 0
        self.bare = bare
        self._net, self._recipe, self._fabric = net, recipe, fabric
        self._average = {name: p.detach().clone() for name, p in net.state_dict().items()}
        self.model, self._optimiser = fabric.setup(bare, optimiser)

    def take_step(self, loss: Tensor) -> None:
        """Performs one optimiser step on a loss computed by `model`."""
        recipe: Recipe = self._recipe
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.rate(self.step)
        self._fabric.backward(loss)
        self._fabric.clip_gradients(self.model, self._optimiser, max_norm=recipe.gradient_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.step += 1
        average_into(self._average, self._net, keep=recipe.average, step=self.step)

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights of the network, on the CPU."""
        return {name: value.cpu() for name, value in self._average.items()}

    def checkpoint(self, further: Mapping[str, Tensor] | None = None) -> Checkpoint:
        """The state after the last step.

        Args:
            further: additional tensors, named `prefix/name`; see `restore`.
        """
        tensors = {f"model/{k}": v for k, v in self.bare.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.items()}
        tensors |= {f"optimiser/{k}": v for k, v in optimiser_tensors(self.bare, self._optimiser).items()}
        return Checkpoint(step=self.step, settings=asdict(self._recipe), tensors={**tensors, **(further or {})})

    def restore(self, found: Checkpoint, *, further: str = "") -> Mapping[str, Tensor]:
        """Resumes from a checkpoint.

        Args:
            found: from `checkpoint`.
            further: prefix of the additional tensors; empty for none.

        Returns:
            The additional tensors, by name.

        Raises:
            UsageError: it has other settings, except for the number of steps before the decay.
        """
        check_resumable(found, self._recipe, decay=self._recipe.decay)
        parts = split_by_prefix(found.tensors, (*_PARTS, further) if further else _PARTS)
        self.bare.load_state_dict(parts["model"])
        self._average = {k: v.to(self._fabric.device) for k, v in parts["average"].items()}
        restore_optimiser(self.bare, self._optimiser, parts["optimiser"])
        self.step = found.step
        _LOG.info("resumed after step %d", found.step)
        return parts[further] if further else {}
