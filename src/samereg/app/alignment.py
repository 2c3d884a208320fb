"""Cached embeddings of scans and alignments of pairs, for training."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samereg.app.progress import OnProgress
from samereg.app.record import named_settings
from samereg.app.scans import read_scan
from samereg.app.store import ScanStore, content_of, store_key
from samereg.errors import NoOverlapError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.io.cache import CacheRecord, read_record, write_record
from samereg.matching.embed import NetEmbedder
from samereg.matching.reduce import Basis, Reduction, find_basis, reduced_map
from samereg.pipeline.pair import Pair, PreparedScan
from samereg.pipeline.stage import Stage, run_sequence
from samereg.training.aligned import AlignedPair, DeformScan
from samereg.training.deform import PairSet

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CachedScan:
    """A prepared scan and the key of its cache records."""

    path: Path
    content: str
    prepared: PreparedScan


def prepare_scans(
    paths: Sequence[Path], embedder: NetEmbedder, cache: Path, *, on_progress: OnProgress | None = None
) -> list[CachedScan]:
    """Prepares scans; embeddings are read from the cache if possible.

    Raises:
        InputError: an invalid scan.
    """
    store, scans = ScanStore(folder=cache), []
    for number, path in enumerate(paths):
        volume = read_scan(path)
        scans.append(CachedScan(path=path, content=content_of(volume), prepared=store.prepare(volume, embedder)))
        if on_progress is not None:
            on_progress("reading and embedding scans", number + 1, len(paths))
    return scans


def align_pairs(
    scans: Sequence[CachedScan],
    wanted: Sequence[tuple[int, int]],
    embedder: NetEmbedder,
    stages: tuple[Stage, ...],
    *,
    cache: Path,
    on_progress: OnProgress | None = None,
) -> list[AlignedPair]:
    """Aligns ordered pairs, using the cache; pairs without common anatomy are skipped.

    Args:
        scans: all scans.
        wanted: indices of fixed and moving scan.
        embedder: of the scans.
        stages: of the alignment, such as SAM-affine and SAM-coarse.
        cache: folder of the cache.
        on_progress: progress callback, called for each pair.
    """
    aligned = []
    for number, (fixed, moving) in enumerate(wanted):
        start = _aligned(scans[fixed], scans[moving], embedder, stages, cache)
        if start is not None:
            aligned.append(AlignedPair(fixed=fixed, moving=moving, start=start))
        if on_progress is not None:
            on_progress("aligning pairs", number + 1, len(wanted))
    _LOG.info("%d of %d pairs aligned, the others share too little anatomy", len(aligned), len(wanted))
    return aligned


def training_scans(scans: Sequence[CachedScan], basis: Basis) -> list[DeformScan]:
    """Inputs for training a deformation network, with reduced embeddings."""
    return [
        DeformScan(
            name=scan.path.name,
            grid=scan.prepared.model.grid,
            intensity=scan.prepared.model.data.half(),
            body=scan.prepared.body,
            features=reduced_map(scan.prepared.embedded, basis).half().contiguous(),
        )
        for scan in scans
    ]


def pair_set(scans: Sequence[CachedScan], pairs: list[AlignedPair]) -> PairSet:
    """Scans and pairs, with embeddings reduced by a common basis."""
    basis = find_basis([scan.prepared.embedded for scan in scans], Reduction())
    return PairSet(scans=training_scans(scans, basis), pairs=pairs)


def _aligned(
    fixed: CachedScan, moving: CachedScan, embedder: NetEmbedder, stages: tuple[Stage, ...], cache: Path
) -> Transform | None:
    recipe = json.dumps([named_settings(stage) for stage in stages], sort_keys=True)
    key = store_key("alignment", fixed.content, moving.content, embedder.record.checksum, recipe)
    record = read_record(cache, key)
    if record is None:
        record = _align(Pair(fixed=fixed.prepared, moving=moving.prepared, embedder=embedder), stages)
        write_record(record, cache, key)
    return _transform_of(record)


def _align(pair: Pair, stages: tuple[Stage, ...]) -> CacheRecord:
    try:
        transform = run_sequence(stages, pair).transform
    except NoOverlapError as error:
        return CacheRecord(arrays={}, notes={"failure": str(error)})
    return _record_of(transform)


def _record_of(transform: Transform) -> CacheRecord:
    arrays = {}
    for number, part in enumerate(parts(transform)):
        if isinstance(part, Affine):
            arrays[f"{number}-affine"] = part.matrix
        elif isinstance(part, Displacement | Velocity | Spline):
            arrays[f"{number}-{type(part).__name__.lower()}"] = part.data
            arrays[f"{number}-grid"] = part.grid.affine
        else:
            raise TransformError(
                f"cannot keep a {type(part).__name__} in the cache of alignments; need stages whose transforms are "
                "affine maps, displacements, velocities and splines"
            )
    return CacheRecord(arrays=arrays, notes={})


_FIELDS: dict[str, type[Displacement] | type[Velocity] | type[Spline]] = {
    "displacement": Displacement,
    "velocity": Velocity,
    "spline": Spline,
}


def _transform_of(record: CacheRecord) -> Transform | None:
    if "failure" in record.notes:
        return None
    transform: Transform = Affine.identity()
    for name in sorted(record.arrays, key=lambda name: int(name.split("-")[0])):
        number, kind = name.split("-")
        if kind == "affine":
            transform = chain(transform, Affine(matrix=record.arrays[name]))
        elif kind in _FIELDS:
            data = record.arrays[name]
            grid = Grid(shape=(data.shape[1], data.shape[2], data.shape[3]), affine=record.arrays[f"{number}-grid"])
            transform = chain(transform, _FIELDS[kind](grid=grid, data=data))
    return transform
