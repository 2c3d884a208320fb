"""What samereg keeps for itself as damaged bases: weights, checkpoints, cached arrays, records of runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from benchmarks.faults.format import Format, Unreadable, Value
from benchmarks.faults.point_files import plain_number
from samereg.app.match_table import MATCH_COLUMNS, read_matches, write_matches
from samereg.app.plain import to_plain
from samereg.app.run_folder import RunFolder
from samereg.app.verdict import VerdictLimits
from samereg.app.verdict import judge as verdict_of
from samereg.bench.record import CaseRecord, Timing, read_record, write_record
from samereg.errors import FileError
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.io.cache import CacheRecord
from samereg.io.cache import read_record as read_cached
from samereg.io.cache import write_record as write_cached
from samereg.io.images import write_volume
from samereg.matching.matches import Matches
from samereg.nets.build import build_deform, build_embedding
from samereg.report.sections import provenance, reasons, stages_table
from samereg.report.sources import read_recorded_scan
from samereg.training.checkpoint import FILE_NAME, read_checkpoint, write_checkpoint
from samereg.training.state import TrainingState
from samereg.weights.deform import DeformHeader, read_deform_weights, write_deform_weights
from samereg.weights.registry import read_weights, write_weights

_NUMPY_TYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
    "BOOL": "?",
    "I16": "<i2",
}


def tensors_by_hand(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and header of a safetensors file, by its definition."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length].decode("utf-8"))
    metadata = entries.pop("__metadata__", {})
    tensors = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        block = content[8 + length + begin : 8 + length + end]
        tensors[name] = np.frombuffer(block, _NUMPY_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def _weights_value(tensors: Mapping[str, NDArray[Any]], **header: str) -> Value:
    value: dict[str, Any] = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    if not all(np.isfinite(tensor).all() for tensor in value.values()):
        raise Unreadable("not finite")
    return {**value, "header": header}


def _make_embedding(folder: Path) -> None:
    torch.manual_seed(0)
    write_weights(build_embedding("compact"), folder / "embedding.safetensors", network="compact", header={})


def _read_embedding(folder: Path) -> Value:
    read = read_weights(str(folder / "embedding.safetensors"))
    return {**{key: each.numpy() for key, each in read.net.state_dict().items()}, "header": {"network": read.network}}


def _embedding_by_hand(folder: Path) -> Value:
    tensors, header = tensors_by_hand(folder / "embedding.safetensors")
    return _weights_value(tensors, network=header["network"])


def _make_deform(folder: Path) -> None:
    torch.manual_seed(0)
    net = build_deform("vm-unet", correlation=False)
    header = DeformHeader(network="vm-unet", correlation=False, form="velocity", embedding="0" * 64)
    write_deform_weights(net, folder / "deform.safetensors", header=header, notes={})


def _read_deform(folder: Path) -> Value:
    read = read_deform_weights(str(folder / "deform.safetensors"))
    header = {
        "network": read.header.network,
        "form": read.header.form,
        "correlation": "yes" if read.header.correlation else "no",
    }
    return {**{key: each.numpy() for key, each in read.net.state_dict().items()}, "header": header}


def _deform_by_hand(folder: Path) -> Value:
    tensors, header = tensors_by_hand(folder / "deform.safetensors")
    if header["correlation"] not in ("yes", "no"):
        raise Unreadable("neither yes nor no")
    return _weights_value(tensors, **{name: header[name] for name in ("network", "form", "correlation")})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recipe:
    """Settings of the smallest training."""

    steps: int = 8
    decay: float = 0.25
    gradient_norm: float = 1.0
    average: float = 0.9

    def rate(self, step: int) -> float:
        """Learning rate, the same at every step."""
        return 0.1 + 0.0 * step


def _state() -> TrainingState:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(net.parameters())
    return TrainingState(net, net, optimiser, recipe=_Recipe(), fabric=_fabric())


@cache
def _fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def _make_checkpoint(folder: Path) -> None:
    state = _state()
    for _ in range(2):
        state.take_step(state.model(torch.ones(1, 3)).sum())
    write_checkpoint(state.checkpoint(), folder)


def _read_checkpoint(folder: Path) -> Value:
    found = read_checkpoint(folder)
    if found is None:
        raise FileError(f"{folder}: holds no checkpoint.")
    state = _state()
    state.restore(found)
    again = state.checkpoint()
    return {"step": again.step, **{key: each.numpy() for key, each in again.tensors.items()}}


def _checkpoint_by_hand(folder: Path) -> Value:
    tensors, header = tensors_by_hand(folder / FILE_NAME)
    if json.loads(header["settings"]) != {"steps": 8, "decay": 0.25, "gradient_norm": 1.0, "average": 0.9}:
        raise Unreadable("other settings")
    if not all(np.isfinite(each).all() for each in tensors.values()):
        raise Unreadable("not finite")
    return {"step": int(header["step"]), **tensors}


def _make_cached(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    arrays = {
        "features": torch.randn(4, 5, 6, generator=generator).half(),
        "points": torch.randn(7, 3, generator=generator),
    }
    write_cached(CacheRecord(arrays=arrays, notes={"message": "converged"}), folder, "key")


def _read_cached(folder: Path) -> Value:
    found = read_cached(folder, "key")
    if found is None:
        # The caller computes it anew: nothing is lost and nothing wrong is used.
        raise FileError(f"{folder}: its record is damaged and computed anew.")
    return {**{name: each.numpy() for name, each in found.arrays.items()}, "notes": dict(found.notes)}


def _cached_by_hand(folder: Path) -> Value:
    """Cached arrays have a checksum: any other content than the base's is wrong."""
    tensors, header = tensors_by_hand(folder / "key.safetensors")
    features = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)).half().numpy()
    if not np.array_equal(tensors["features"], features):
        raise Unreadable("other arrays than were cached")
    return {**tensors, "notes": {"message": header["message"]}}


def _make_run(folder: Path) -> None:
    for name in ("fixed", "moving"):
        write_volume(_small_scan(), folder / f"{name}.nii")
    (folder / "run.json").write_text(json.dumps(_run_as_written(), indent=2))


def _run_as_written() -> dict[str, Any]:
    scans = {
        name: {"path": f"{name}.nii", "sha256": None, "shape": [8, 8, 9], "spacing_mm": [5.0, 5.0, 5.0], "series": None}
        for name in ("fixed", "moving")
    }
    outcome = {"converged": True, "message": "converged", "iterations": 7}
    return {
        "versions": {"samereg": "0.1.0", "python": "3.11.7", "platform": "Linux x86_64", "packages": {"torch": "2.6"}},
        "machine": {"device": "cpu", "name": "a processor", "threads": 2},
        "embedding": {"name": "compact", "checksum": "0" * 64, "network": "compact", "precision": "float32"},
        "deform": None,
        "settings": {"preset": "fast", "filter": "stable", "seed": 0},
        "recipe": [],
        **scans,
        "stages": [{"name": "affine", "seconds": 1.25, "outcome": outcome, "matches": 500, "used": 400}],
        "quality": {
            "match_count": 400,
            "kept_fraction": 0.8,
            "match_error_mm": 1.5,
            "similarity": 0.6,
            "inverse_consistency_mm": 0.1,
            "folded_fraction": 0.0,
            "jacobian_std": 0.1,
            "overlap_fraction": 0.95,
        },
        "verdict": {"level": "good", "headline": "Good.", "findings": [], "notes": []},
        "faults": [],
        "seconds": 3.5,
        "exit_status": 0,
    }


def _small_scan() -> Volume:
    """Half air, half soft tissue, with noise: what counts as a CT."""
    grid = axis_aligned_grid((8, 8, 9), (5.0, 5.0, 5.0))
    noise = 15 * torch.randn(grid.shape, generator=torch.Generator().manual_seed(0))
    hu = torch.where(torch.arange(8)[:, None, None] < 4, -1000.0, 40.0) + noise
    return Volume(data=hu.round()[None], grid=grid, stored_dtype="int16")


def _read_run(folder: Path) -> Value:
    """The record, and everything that the report makes of it."""
    record = RunFolder(folder).read_record()
    for name, scan in (("fixed", record.fixed), ("moving", record.moving)):
        read_recorded_scan(scan, folder / f"{name}.nii", name=name)
    verdict = verdict_of(record.quality, VerdictLimits(), record.verdict.notes)
    text = reasons(verdict) + stages_table(record.stages, record.seconds) + provenance(record)
    read = _restricted(to_plain(record), json.loads((folder / "run.json").read_text("utf-8")))
    return {"record": json.dumps(read, sort_keys=True), "text": len(text) > 0}


def _run_by_json(folder: Path) -> Value:
    record = json.loads((folder / "run.json").read_text("utf-8"))
    return {"record": json.dumps(_restricted(record, _run_as_written()), sort_keys=True), "text": True}


def _restricted(value: Any, known: Any) -> Any:
    """A value without the entries that another one lacks; whole numbers as real ones, since JSON tells none apart."""
    if isinstance(value, dict) and isinstance(known, dict):
        return {name: _restricted(each, known[name]) for name, each in value.items() if name in known}
    if isinstance(value, list) and isinstance(known, list):
        return [_restricted(each, known[n] if n < len(known) else each) for n, each in enumerate(value)]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@cache
def _matches() -> Matches:
    generator = torch.Generator().manual_seed(1)
    fixed = (100 * torch.rand(20, 3, generator=generator, dtype=torch.float64)).round(decimals=3)
    return Matches(
        fixed_mm=fixed,
        moving_mm=fixed + 1.0,
        similarity=torch.full((20,), 0.8),
        cycle_mm=torch.full((20,), 2.0),
        used=torch.arange(20) < 15,
    )


def _read_matches(folder: Path) -> Value:
    found = read_matches(folder / "matches.csv")
    numbers = torch.stack([found.similarity.double(), found.cycle_mm.double(), found.used.double()], dim=1)
    return {"matches": torch.cat([found.fixed_mm, found.moving_mm, numbers], dim=1).numpy()}


def _match_number(text: str, column: str) -> float:
    """A decimal number; a cycle error may also be infinite, where it was not looked for."""
    return inf if column == "cycle_mm" and text in ("inf", "1e400") else plain_number(text)


def _matches_by_csv(folder: Path) -> Value:
    lines = (folder / "matches.csv").read_bytes().decode("utf-8-sig").splitlines()
    header = [cell.strip() for cell in lines[0].split(",")]
    rows = [line.split(",") for line in lines[1:] if line.replace(",", "").strip()]
    if any(len(row) != len(header) for row in rows) or not rows:
        raise Unreadable("rows and header do not fit")
    columns = [[_match_number(row[header.index(name)].strip('" '), name) for row in rows] for name in MATCH_COLUMNS]
    if not set(columns[-1]) <= {0.0, 1.0}:
        raise Unreadable("used or not")
    return {"matches": np.array(columns).T}


_CASE_TEXTS = ("method", "title", "task", "fixed", "moving", "reason", "version", "key")


def _make_case(folder: Path) -> None:
    record = CaseRecord(
        method="fast",
        title="Fast",
        task="all",
        fixed="a",
        moving="b",
        status="done",
        version="1",
        settings={"n": 1},
        key="k",
        machine={"device": "cpu"},
        timing=Timing(load=0.5, compute=1.5, write=0.25),
        peak_gb=1.5,
        scores=None,
    )
    write_record(record, folder / "case.json")


def _read_case(folder: Path) -> Value:
    record = read_record(folder / "case.json")
    timing = record.timing
    seconds = [timing.load + 0.0, timing.compute + 0.0, timing.write + 0.0] if timing else []
    peak = record.peak_gb if record.peak_gb is None else record.peak_gb + 0.0
    texts = ["".join(str(getattr(record, name)) for name in _CASE_TEXTS)]
    return {
        "texts": texts,
        "status": record.status,
        "seconds": seconds,
        "peak": peak,
        "rest": [record.settings, record.machine],
    }


def _case_by_json(folder: Path) -> Value:
    plain = json.loads((folder / "case.json").read_text("utf-8"))
    known = {*_CASE_TEXTS, "status", "settings", "machine", "timing", "peak_gb", "scores"}
    if not set(plain) <= known or plain["status"] not in ("done", "failed", "unavailable") or plain["scores"]:
        raise Unreadable("not a record")
    seconds = [float(plain["timing"][name]) for name in ("load", "compute", "write")] if plain["timing"] else []
    texts = ["".join(plain.get(name, "") for name in _CASE_TEXTS)]
    rest = [plain.get("settings"), plain.get("machine")]
    return {"texts": texts, "status": plain["status"], "seconds": seconds, "peak": plain.get("peak_gb"), "rest": rest}


_BY_HAND = "what the file's own index says of its plain, unchecked, finite numbers"
_BY_JSON = "what the JSON says, if each entry is of its kind"

RUN_FORMATS: tuple[Format, ...] = (
    Format(
        name="embedding weights",
        make=_make_embedding,
        read=_read_embedding,
        reference=_embedding_by_hand,
        legitimate=_BY_HAND,
    ),
    Format(name="deform weights", make=_make_deform, read=_read_deform, reference=_deform_by_hand, legitimate=_BY_HAND),
    Format(
        name="checkpoint",
        make=_make_checkpoint,
        read=_read_checkpoint,
        reference=_checkpoint_by_hand,
        legitimate=_BY_HAND,
    ),
    Format(
        name="cached arrays",
        make=_make_cached,
        read=_read_cached,
        reference=_cached_by_hand,
        legitimate="nothing else: arrays and notes have a checksum",
    ),
    Format(name="run record", make=_make_run, read=_read_run, reference=_run_by_json, legitimate=_BY_JSON),
    Format(
        name="matches",
        make=lambda folder: write_matches(_matches(), folder / "matches.csv"),
        read=_read_matches,
        reference=_matches_by_csv,
        legitimate="what the cells of a well-formed table say",
    ),
    Format(name="bench record", make=_make_case, read=_read_case, reference=_case_by_json, legitimate=_BY_JSON),
)
