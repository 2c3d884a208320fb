"""State of a worker between jobs: weights are loaded once, and each scan is embedded once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from samereg.app.plain import Plain
from samereg.app.record import named_settings
from samereg.app.session import Session
from samereg.app.store import ScanStore
from samereg.bench.methods import RecipeMethod
from samereg.errors import WeightsError
from samereg.estimate.deform import Deformer, load_deformer
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import Stage, run_sequence

SCANS_KEPT = 12
"""Maximum number of cached embedded scans, about 0.2 GB each: the ten subjects of the paper's protocol and two more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodResult:
    """Result of a method, and its computing time.

    Attributes:
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        seconds: computing time of both.
    """

    transform: Transform
    inverse: Transform
    seconds: float


@dataclass(kw_only=True, slots=True)
class Worker:
    """State of one process of a comparison between jobs.

    Attributes:
        device: of the networks.
        networks: folder of trained deformation networks; None for only the shipped one.
    """

    device: torch.device
    networks: Path | None
    _session: Session | None = None

    @property
    def session(self) -> Session:
        """Session with the shipped embedding, opened on first use; baselines need none."""
        if self._session is None:
            self._session = Session(device=str(self.device), store=ScanStore(scans=SCANS_KEPT))
        return self._session

    def stages(self, method: RecipeMethod) -> tuple[Stage, ...]:
        """Stages of a recipe, with its network.

        Raises:
            WeightsError: the network is missing.
        """
        return method.stages(self._deformers_of(method))

    def settings(self, method: RecipeMethod) -> Plain:
        """All settings of a recipe."""
        stages: list[Plain] = [named_settings(stage) for stage in self.stages(method)]
        return {"embedding": self.session.embedder.record.checksum, "stages": stages}

    def register(self, method: RecipeMethod, fixed: Volume, moving: Volume) -> MethodResult:
        """Registers by a recipe of SAME.

        Args:
            method: recipe.
            fixed: CT in HU, with the checksum of its file in its source.
            moving: the same.

        Raises:
            NoOverlapError: too little common anatomy.
            InputError: a scan shows no body.
        """
        stages = self.stages(method)
        scans = [self.session.prepare(volume) for volume in (fixed, moving)]
        pair = Pair(fixed=scans[0], moving=scans[1], embedder=self.session.embedder)
        began = time.perf_counter()
        transform = run_sequence(stages, pair).transform
        inverse = transform.inverse()
        seconds = time.perf_counter() - began + sum(scan.seconds for scan in scans)
        return MethodResult(transform=transform, inverse=inverse, seconds=seconds)

    def _deformers_of(self, method: RecipeMethod) -> Mapping[tuple[str, str], Deformer]:
        if method.network is None:
            return {}
        name = method.weights(self.networks)
        if name is None:
            raise WeightsError(
                f"{method.title}: needs the network {'-'.join(method.network)}, which is missing; give "
                "--networks with the folder recipes/networks of the repository, or the output of recipes/deform.py"
            )
        return {method.network: load_once(name, str(self.device))}


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenBenchWorker:
    """Makes the worker of a process.

    Attributes:
        networks: folder of trained deformation networks, or None for the shipped one alone.
    """

    networks: Path | None

    def __call__(self, device: torch.device) -> Worker:
        """The worker that a process's jobs share."""
        return Worker(device=device, networks=self.networks)


@cache
def load_once(name: str, device: str) -> Deformer:
    """A deformation network, cached per process, because networks of the tables differ from that of the session."""
    return load_deformer(name, device=device)
