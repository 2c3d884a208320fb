"""Cache of prepared scans: the most recent in memory and, given a folder, all embeddings on disk."""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch

from samereg.geometry.volume import Volume
from samereg.image.preprocess import MODEL_SPACING_MM, WINDOW_HU
from samereg.io.cache import CacheRecord, mark_used, read_record, remove_least_used, write_record
from samereg.matching.embed import Embedder
from samereg.pipeline.pair import PreparedScan, prepare_scan, prepare_scan_by

COMPUTATION = 2
"""Version of preprocessing and embedding: incremented when the same scan would give other features."""

BYTES_PER_GB = 1e9


@dataclass(kw_only=True, slots=True)
class ScanStore:
    """Prepared scans by content, weights, model space and version of the computation.

    Attributes:
        scans: maximum number in memory, about 0.3 GB each at 2 mm; the least recently used is dropped first.
        folder: folder of stored embeddings; None for none.
        folder_gb: maximum size of that folder; the least recently used embeddings are dropped first. None for no limit.
    """

    scans: int = 0
    folder: Path | None = None
    folder_gb: float | None = None
    _kept: OrderedDict[str, PreparedScan] = field(default_factory=OrderedDict)

    def prepare(self, volume: Volume, embedder: Embedder, *, keep: bool = True) -> PreparedScan:
        """Prepares a scan, using the store if possible.

        Args:
            volume: CT in HU.
            embedder: the anatomical embedding.
            keep: whether it goes into the store; a scan that nobody asks about again need not take another's place.

        Raises:
            InputError: it shows no body.
        """
        if not keep or (not self.scans and self.folder is None):
            return prepare_scan(volume, embedder)
        key = scan_key(volume, embedder)
        if key not in self._kept:
            self._kept[key] = self._from_disk(key, volume, embedder)
        found = self._kept[key]
        self._kept.move_to_end(key)
        while len(self._kept) > self.scans:
            self._kept.popitem(last=False)
        return found

    def _from_disk(self, key: str, volume: Volume, embedder: Embedder) -> PreparedScan:
        if self.folder is None:
            return prepare_scan(volume, embedder)
        record = read_record(self.folder, key)
        if record is not None:
            mark_used(self.folder, key)
            maps = record.arrays["local"], record.arrays["global"]
            return prepare_scan_by(volume, lambda model: embedder.restore(model.grid, *maps))
        prepared = prepare_scan(volume, embedder)
        arrays = {"local": prepared.embedded.local, "global": prepared.embedded.global_}
        write_record(CacheRecord(arrays=arrays, notes={}), self.folder, key)
        if self.folder_gb is not None:
            remove_least_used(self.folder, limit_bytes=self.folder_gb * BYTES_PER_GB)
        return prepared


def scan_key(volume: Volume, embedder: Embedder) -> str:
    """Key of a prepared scan, from voxels, grid, weights, number format and version of the computation."""
    space = f"{MODEL_SPACING_MM} {WINDOW_HU} {COMPUTATION}"
    return store_key("embedding", content_of(volume), embedder.record.checksum, embedder.record.precision, space)


def content_of(volume: Volume) -> str:
    """Identity of a scan: the checksum of its file and its series, or of its voxels if it has none."""
    source = volume.source
    if source.sha256 is not None:
        return f"{source.sha256} {source.series_uid or ''}"
    digest = hashlib.sha256(volume.data.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    digest.update(json.dumps([volume.grid.affine.tolist(), volume.grid.shape, volume.background]).encode())
    return digest.hexdigest()


def store_key(*words: str) -> str:
    """File name for a key of words; begins with the first one."""
    return f"{words[0]}-{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]}"
