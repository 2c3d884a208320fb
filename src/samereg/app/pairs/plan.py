"""What is left to do of many pairs: run folders whose inputs, settings, networks and version still hold are kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samereg._version import __version__
from samereg.app.pairs.folders import refuse_strangers
from samereg.app.pairs.job import Finish, PairJob
from samereg.app.pairs.pair import Scan, ScanPair
from samereg.app.pairs.record import PairRecord, read_pair_record, state_of
from samereg.app.plain import to_plain
from samereg.app.record import named_settings
from samereg.app.session import Session
from samereg.app.settings import MachineSettings, PairsSettings

CARRYING = 1
"""Raised when a run folder gets other files than before: earlier ones are then made anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsPlan:
    """What a run has to do.

    Attributes:
        jobs: to do, those of one fixed scan after each other, so that it is read once.
        kept: records of an earlier run that still hold.
        order: names of all pairs, as they were given.
    """

    jobs: tuple[PairJob, ...]
    kept: tuple[PairRecord, ...]
    order: tuple[str, ...]


def make_plan(pairs: Sequence[ScanPair], output: Path, *, settings: PairsSettings, finish: Finish) -> PairsPlan:
    """Jobs for every pair whose record is missing or does not hold any more.

    Args:
        pairs: which scans.
        output: folder of all run folders.
        settings: everything else.
        finish: makes what else belongs into a run folder; its fields belong to the settings.

    Raises:
        WeightsError: a network is missing or damaged.
        FileError: something else lies where a run folder is to be.
    """
    refuse_strangers([output / pair.name for pair in pairs])
    settings_key = _settings_key(settings, finish)
    uses = Counter(scan for pair in pairs for scan in (pair.fixed, pair.moving))
    due, kept = [], []
    for pair in pairs:
        record = read_pair_record(output / pair.name)
        key = _key(settings_key, pair)
        if record is not None and _holds(record, pair, key, output / pair.name, settings=settings):
            kept.append(record)
            continue
        due.append(
            PairJob(
                pair=pair,
                output=output,
                key=key,
                settings=settings.registration,
                keep=(uses[pair.fixed] > 1, uses[pair.moving] > 1),
                finish=finish,
            )
        )
    return PairsPlan(jobs=_grouped(due), kept=tuple(kept), order=tuple(pair.name for pair in pairs))


def _grouped(jobs: Sequence[PairJob]) -> tuple[PairJob, ...]:
    """Jobs of one fixed scan after each other; scans and pairs otherwise in the order in which they were given."""
    first: dict[Scan, int] = {}
    for number, job in enumerate(jobs):
        first.setdefault(job.pair.fixed, number)
    return tuple(sorted(jobs, key=lambda job: first[job.pair.fixed]))


def _holds(record: PairRecord, pair: ScanPair, key: str, folder: Path, *, settings: PairsSettings) -> bool:
    """Whether a run folder is what a new run would make of the same inputs."""
    if record.key != key or (record.status == "failed" and settings.retry_failed):
        return False
    now = {path: state_of(path) for path in pair.files}
    if set(now) != {each.path for each in record.inputs}:
        return False
    return all(each.holds(now[each.path]) for each in record.inputs) and all(
        (folder / name).is_file() for name in record.files
    )


def _settings_key(settings: PairsSettings, finish: Finish) -> list[object]:
    """Everything that a run folder depends on besides its inputs; what it is computed on does not count."""
    registration = replace(settings.registration, machine=MachineSettings(device="cpu"))
    session = Session(device="cpu", embedding=registration.embedding)
    recipe = [named_settings(stage) for stage in session.stages(registration)]
    deform = [] if registration.preset in ("fast", "affine") else [session.deformer(registration.deform).record]
    embedding = session.embedder.record.checksum
    return [__version__, CARRYING, registration, recipe, embedding, *deform, named_settings(finish)]


def _key(settings_key: list[object], pair: ScanPair) -> str:
    text = json.dumps(to_plain([settings_key, pair]), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
