"""What a worker keeps from pair to pair: networks, and the scans that it read last."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from samereg.app.pairs.pair import Scan
from samereg.app.pairs.record import InputState, state_of
from samereg.app.scans import read_scan
from samereg.app.session import Session
from samereg.app.store import ScanStore
from samereg.pipeline.pair import PreparedScan

SCANS_HELD = 3
"""Read and embedded scans in memory, about 0.5 GB each: both of a pair, and one that the next pairs share."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldScan:
    """A scan that was read and made ready.

    Attributes:
        prepared: for the session.
        state: of its file when it was read.
        reading_s: what reading took; 0 if it was held already.
    """

    prepared: PreparedScan
    state: InputState
    reading_s: float


@dataclass(kw_only=True, slots=True)
class PairWorker:
    """Networks and scans of one process.

    Attributes:
        session: registers.
        scans: how many scans are held.
    """

    session: Session
    scans: int = SCANS_HELD
    _held: OrderedDict[Scan, HeldScan] = field(default_factory=OrderedDict)

    def hold(self, scan: Scan, *, keep: bool) -> HeldScan:
        """A scan read and made ready, from memory if it was among the last ones.

        Args:
            scan: by path.
            keep: whether its embedding is kept on disk for other workers and later pairs.

        Raises:
            InputError: it cannot be used.
        """
        if scan in self._held:
            self._held.move_to_end(scan)
            held = self._held[scan]
            return replace(held, reading_s=0.0, prepared=replace(held.prepared, seconds=0.0))
        while len(self._held) >= self.scans:
            self._held.popitem(last=False)
        began = time.perf_counter()
        state = state_of(scan.path)
        volume = read_scan(scan.path, series=scan.series)
        reading_s = time.perf_counter() - began
        self._held[scan] = HeldScan(
            prepared=self.session.prepare(volume, keep=keep),
            state=replace(state, sha256=volume.source.sha256),
            reading_s=reading_s,
        )
        return self._held[scan]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPairWorker:
    """Makes the worker of a process.

    Attributes:
        embedding: name or path of the embedding network.
        store: folder for embeddings of scans that several pairs share; None for nowhere.
        store_gb: largest size of that folder.
    """

    embedding: str
    store: Path | None
    store_gb: float

    def __call__(self, device: torch.device) -> PairWorker:
        """The worker that a process's pairs share."""
        store = ScanStore(folder=self.store, folder_gb=self.store_gb)
        return PairWorker(session=Session(device=str(device), embedding=self.embedding, store=store))
