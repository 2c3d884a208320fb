"""A network in training between two steps: weights, Adam's moments, averaged weights; kept and restored whole."""

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
    """Settings of a training, as far as a step needs them; a frozen dataclass."""

    @property
    def decay(self) -> float:
        """Last share of the steps, over which the rate falls to 0."""

    @property
    def gradient_norm(self) -> float:
        """Longer gradients are scaled down to this."""

    @property
    def average(self) -> float:
        """Decay of the averaged weights."""

    def rate(self, step: int) -> float:
        """Learning rate of a step."""


class TrainingState:
    """State of one training.

    Attributes:
        step: steps taken.
        model: what computes the loss, as it is called: set up for the devices.
        bare: the same, as it is kept.
    """

    def __init__(self, bare: nn.Module, net: nn.Module, optimiser: Optimizer, *, recipe: Any, fabric: Fabric) -> None:
        """Begin.

        Args:
            bare: computes the loss; holds `net`.
            net: what is trained.
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
        """One step down the gradient of a loss that `model` has computed."""
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
            further: tensors to be kept with it, named `prefix/name` by prefixes that `restore` is told.
        """
        tensors = {f"model/{k}": v for k, v in self.bare.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.items()}
        tensors |= {f"optimiser/{k}": v for k, v in optimiser_tensors(self.bare, self._optimiser).items()}
        return Checkpoint(step=self.step, settings=asdict(self._recipe), tensors={**tensors, **(further or {})})

    def restore(self, found: Checkpoint, *, further: str = "") -> Mapping[str, Tensor]:
        """Go on from a checkpoint.

        Args:
            found: as of `checkpoint`.
            further: prefix of further tensors; empty for none.

        Returns:
            The further tensors, by name.

        Raises:
            UsageError: it was made with other settings, the number of steps before the decay excepted.
        """
        check_resumable(found, self._recipe, decay=self._recipe.decay)
        parts = split_by_prefix(found.tensors, (*_PARTS, further) if further else _PARTS)
        self.bare.load_state_dict(parts["model"])
        self._average = {k: v.to(self._fabric.device) for k, v in parts["average"].items()}
        restore_optimiser(self.bare, self._optimiser, parts["optimiser"])
        self.step = found.step
        _LOG.info("resumed after step %d", found.step)
        return parts[further] if further else {}
