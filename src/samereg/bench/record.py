"""What one method did on one pair, as a JSON file of its own: the only thing tables and figures are made from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from samereg.app.plain import Plain
from samereg.app.record import write_json
from samereg.bench.scores import FieldScore, LabelScore, Scores
from samereg.errors import FileError
from samereg.metrics.landmarks import TargetError

Status = Literal["done", "failed", "unavailable"]
"""`failed` counts against a method; `unavailable` says that a package or network is not here."""


_TEXTS = frozenset(("method", "title", "task", "fixed", "moving", "status", "reason", "version", "key"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Wall time of one registration, s.

    Attributes:
        load: reading both scans.
        compute: from both scans in memory to a transform and its inverse, embedding included, also where the
            embeddings were at hand from an earlier pair.
        write: of the transform.
    """

    load: float
    compute: float
    write: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRecord:
    """What one method did on one pair.

    Attributes:
        method: name.
        title: as tables call it.
        task: set of pairs.
        fixed: name of the scan that stays.
        moving: name of the scan that was aligned with it.
        status: how it ended.
        reason: a sentence where it did not end well.
        version: of the software behind the method.
        settings: of the method.
        key: stands for everything that the result depends on.
        machine: what it ran on.
        timing: wall time; None where nothing was computed.
        peak_gb: largest memory of the process meanwhile, or None where the system does not say.
        scores: what it reached; None where nothing was computed.
    """

    method: str
    title: str
    task: str
    fixed: str
    moving: str
    status: Status
    reason: str = ""
    version: str = ""
    settings: Plain = None
    key: str = ""
    machine: Plain = None
    timing: Timing | None = None
    peak_gb: float | None = None
    scores: Scores | None = None


def record_path(run: Path, method: str, task: str, pair: str) -> Path:
    """Where the record of one method on one pair lies in the folder of a run."""
    return run / "cases" / method / task / f"{pair}.json"


def transform_path(run: Path, method: str, task: str, pair: str) -> Path:
    """Where the transform lies."""
    return run / "transforms" / method / task / pair / "transform.h5"


def write_record(record: CaseRecord, path: Path) -> None:
    """Write a record whole or not at all."""
    write_json(record, path)


def read_record(path: Path) -> CaseRecord:
    """A record as it was written.

    Raises:
        FileError: missing, damaged, or not such a record.
    """
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        timing, scores = plain.pop("timing"), plain.pop("scores")
        _require_kinds(plain, timing)
        return CaseRecord(
            **plain, timing=Timing(**timing) if timing else None, scores=_scores(scores) if scores else None
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{path}: is no record of a benchmark ({error}); remove it and run again.") from error


def read_records(run: Path) -> list[CaseRecord]:
    """Every record of a run, by method, task and pair."""
    return [read_record(path) for path in sorted((run / "cases").glob("*/*/*.json")) if not path.name.startswith(".")]


def _require_kinds(plain: Mapping[str, Any], timing: Mapping[str, Any] | None) -> None:
    """Refuse entries of another kind than a record has; the error joins those of a damaged JSON text."""
    for name in _TEXTS & set(plain):
        if not isinstance(plain[name], str):
            raise ValueError(f"its {name} is {plain[name]!r}, no text")
    if plain["status"] not in get_args(Status):
        raise ValueError(f"its status is {plain['status']!r}")
    for value in (*(timing or {}).values(), 0.0 if plain.get("peak_gb") is None else plain["peak_gb"]):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"one of its figures is {value!r}, no number")


def _scores(plain: Mapping[str, Any]) -> Scores:
    return Scores(
        labels=tuple(LabelScore(**label) for label in plain["labels"]),
        dice=plain["dice"],
        asd_mm=plain["asd_mm"],
        hd95_mm=plain["hd95_mm"],
        landmarks=TargetError(**plain["landmarks"]) if plain["landmarks"] else None,
        field=FieldScore(**plain["field"]),
    )
