"""What a worker keeps from one registration to the next: weights are loaded once, and each scan is embedded once."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from samereg.app.record import Plain, named_settings
from samereg.bench.methods import RecipeMethod
from samereg.errors import WeightsError
from samereg.estimate.deform import Deformer, load_deformer
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.matching.embed import NetEmbedder, load_embedder
from samereg.pipeline.pair import Pair, PreparedScan, prepare_scan
from samereg.pipeline.stage import Stage, run_in_turn

SCANS_KEPT = 12
"""Embedded scans that are kept, about 0.2 GB each: the ten subjects of the paper's protocol and two more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An embedded scan and what it took."""

    scan: PreparedScan
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a method found, and what it took without reading and writing.

    Attributes:
        transform: fixed world to moving world.
        inverse: moving world to fixed world.
        seconds: to compute both.
    """

    transform: Transform
    inverse: Transform
    seconds: float


@dataclass(kw_only=True, slots=True)
class Workshop:
    """Networks and embedded scans of one process.

    Attributes:
        device: what the networks compute on.
        networks: folder of trained deformation networks, or None for the shipped one alone.
    """

    device: torch.device
    networks: Path | None
    _embedder: NetEmbedder | None = None
    _deformers: dict[str, Deformer] = field(default_factory=dict)
    _scans: OrderedDict[str, Prepared] = field(default_factory=OrderedDict)

    @property
    def embedder(self) -> NetEmbedder:
        """The shipped embedding, loaded when first asked for."""
        if self._embedder is None:
            self._embedder = load_embedder(device=str(self.device))
        return self._embedder

    def stages(self, method: RecipeMethod) -> tuple[Stage, ...]:
        """Stages of a recipe, with its network.

        Raises:
            WeightsError: the network is not there.
        """
        return method.stages(self._deformers_of(method))

    def settings(self, method: RecipeMethod) -> Plain:
        """Everything that a recipe's result depends on besides the scans."""
        stages: list[Plain] = [named_settings(stage) for stage in self.stages(method)]
        return {"embedding": self.embedder.record.checksum, "stages": stages}

    def register(self, method: RecipeMethod, fixed: tuple[str, Volume], moving: tuple[str, Volume]) -> Registered:
        """Register by a recipe of SAME.

        Args:
            method: recipe.
            fixed: text that stands for the scan, the same for no other, and CT in HU.
            moving: the same.

        Raises:
            NoOverlapError: too little common anatomy.
            InputError: a scan without a body.
        """
        stages = self.stages(method)
        scans = [self._prepared(*fixed), self._prepared(*moving)]
        pair = Pair(fixed=scans[0].scan, moving=scans[1].scan, embedder=self.embedder)
        began = time.perf_counter()
        transform = run_in_turn(stages, pair).transform
        inverse = transform.inverse()
        seconds = time.perf_counter() - began + sum(scan.seconds for scan in scans)
        return Registered(transform=transform, inverse=inverse, seconds=seconds)

    def _deformers_of(self, method: RecipeMethod) -> Mapping[tuple[str, str], Deformer]:
        if method.network is None:
            return {}
        name = method.weights(self.networks)
        if name is None:
            raise WeightsError(
                f"{method.title}: needs the network {'-'.join(method.network)}, which is not there; name with "
                "--networks the folder recipes/networks of the repository, or what recipes/deform.py trained"
            )
        if name not in self._deformers:
            self._deformers[name] = load_deformer(name, device=str(self.device))
        return {method.network: self._deformers[name]}

    def _prepared(self, name: str, volume: Volume) -> Prepared:
        if name not in self._scans:
            embedder = self.embedder
            began = time.perf_counter()
            scan = prepare_scan(volume, embedder)
            self._scans[name] = Prepared(scan=scan, seconds=time.perf_counter() - began)
        self._scans.move_to_end(name)
        while len(self._scans) > SCANS_KEPT:
            self._scans.popitem(last=False)
        return self._scans[name]
