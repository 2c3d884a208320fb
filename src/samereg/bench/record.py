"""Records: the result of one method on one pair as a JSON file, the only source of tables and figures."""

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
"""`failed` counts against a method; `unavailable` means a missing package or network."""


_TEXTS = frozenset(("method", "title", "task", "fixed", "moving", "status", "reason", "version", "key"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Wall time of one registration, s.

    Attributes:
        load: reading both scans.
        compute: from both scans in memory to a transform and its inverse, including embedding, even if the
            embeddings were cached from an earlier pair.
        write: writing the transform.
    """

    load: float
    compute: float
    write: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRecord:
    """Result of one method on one pair.

    Attributes:
        method: name.
        title: in tables.
        task: set of pairs.
        fixed: name of the fixed scan.
        moving: name of the moving scan.
        status: of the registration.
        reason: a sentence, unless it is done.
        version: of the software behind the method.
        settings: of the method.
        key: of everything that the result depends on.
        machine: hardware.
        timing: wall time; None if nothing was computed.
        peak_gb: peak memory of the process, or None if unknown.
        scores: of the registration; None if nothing was computed.
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


_RENAMED = {"quarter_mm": "p25_mm", "three_quarters_mm": "p75_mm", "most_mm": "p95_mm", "largest_mm": "max_mm"}
"""Names of the errors of landmarks in records of earlier versions."""


def record_path(run: Path, method: str, task: str, pair: str) -> Path:
    """Path of the record of one method on one pair."""
    return run / "cases" / method / task / f"{pair}.json"


def transform_path(run: Path, method: str, task: str, pair: str) -> Path:
    """Path of the transform."""
    return run / "transforms" / method / task / pair / "transform.h5"


def write_record(record: CaseRecord, path: Path) -> None:
    """Writes a record atomically."""
    write_json(record, path)


def read_record(path: Path) -> CaseRecord:
    """Reads a record.

    Raises:
        FileError: missing, damaged, or not a record.
    """
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        timing, scores = plain.pop("timing"), plain.pop("scores")
        _require_kinds(plain, timing)
        return CaseRecord(
            **plain, timing=Timing(**timing) if timing else None, scores=_scores(scores) if scores else None
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{path}: is not a record of a benchmark ({error}); remove it and run again.") from error


def read_records(run: Path) -> list[CaseRecord]:
    """Reads all records of a run, by method, task and pair."""
    return [read_record(path) for path in sorted((run / "cases").glob("*/*/*.json")) if not path.name.startswith(".")]


def _require_kinds(plain: Mapping[str, Any], timing: Mapping[str, Any] | None) -> None:
    """Checks the types of the entries of a record."""
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
        lesion_volume=plain.get("lesion_volume"),
        asd_mm=plain["asd_mm"],
        hd95_mm=plain["hd95_mm"],
        landmarks=_landmarks(plain["landmarks"]) if plain["landmarks"] else None,
        field=FieldScore(**plain["field"]),
    )


def _landmarks(plain: Mapping[str, Any]) -> TargetError:
    return TargetError(**{_RENAMED.get(name, name): value for name, value in plain.items()})
