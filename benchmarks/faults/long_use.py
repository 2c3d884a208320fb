"""The parts `memory` and `repeat`: fifty registrations in one process, and the same one again and again."""

import gc
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import SimpleITK as sitk

from benchmarks.faults.judge import resident_bytes
from benchmarks.faults.kills import every_file, fingerprints
from benchmarks.faults.processes import FIXED, MOVING, run_child, small_pair
from benchmarks.faults.records import append_row, read_rows
from samereg.app.api import register
from samereg.cli.main import main

REGISTRATIONS, WARM_UP = 50, 10
MAX_GROWTH = 0.05
"""Of memory, from the registrations after the warm-up to the last ones."""
REPEATS = 5
MAX_DIFFERENCE_MM = 0.5
"""Between transforms of one and of two threads: sums in another order, over a search with ties."""

Told = Callable[[str, str], None]


def run_memory(path: Path, place: Path, *, on_step: Told | None = None) -> None:
    """Register the small pair fifty times in one fresh process, and note its memory after each."""
    if len(read_rows(path)) >= REGISTRATIONS:
        return
    path.unlink(missing_ok=True)
    cohort = small_pair(place)
    ended = run_child(lambda: _register_often(cohort, path), place / "log.txt")
    if ended.code != 0:
        raise RuntimeError(f"the registrations ended: {ended.words}")
    if on_step is not None:
        on_step("memory", f"growth {100 * memory_growth(read_rows(path)):.2f} %")


def _register_often(cohort: Path, path: Path) -> int:
    for number in range(REGISTRATIONS):
        register(cohort / FIXED, cohort / MOVING, device="cpu", preset="fast")
        gc.collect()
        append_row(path, {"number": number, "bytes": resident_bytes()})
    return 0


def memory_growth(rows: list[dict[str, Any]]) -> float:
    """Growth of memory as a fraction: the last ten registrations against the ten after the warm-up."""
    sizes = [row["bytes"] for row in rows]
    growth: float = median(sizes[-WARM_UP:]) / median(sizes[WARM_UP : 2 * WARM_UP]) - 1.0
    return growth


def run_repeats(path: Path, place: Path, *, on_step: Told | None = None) -> None:
    """Register the small pair five times with one seed, then with two threads."""
    if read_rows(path):
        return
    cohort = small_pair(place)
    hashes: list[Mapping[str, str]] = []
    for number in range(REPEATS):
        hashes.append(fingerprints(_registered(cohort, place / f"repeat-{number}", threads=1), every_file))
    differing = sorted({name for found in hashes for name in found if found[name] != hashes[0].get(name)})
    two = _registered(cohort, place / "repeat-threads", threads=2)
    row = {"runs": REPEATS, "differing": differing, "largest_mm": largest_difference_mm(place / "repeat-0", two)}
    append_row(path, row)
    if on_step is not None:
        on_step("repeat", json.dumps(row))


def _registered(cohort: Path, out: Path, *, threads: int) -> Path:
    words = ["register", "-f", str(cohort / FIXED), "-m", str(cohort / MOVING), "-o", str(out), "--preset", "fast"]
    flags = ["--device", "cpu", "--threads", str(threads), "--overwrite", "-q"]
    ended = run_child(lambda: main([*words, *flags]), out.with_suffix(".log"))
    if ended.code != 0:
        raise RuntimeError(f"the small pair cannot be registered: {ended.words}")
    return out


def largest_difference_mm(first: Path, second: Path) -> float:
    """Largest distance between where two registrations take the voxels of the fixed scan."""
    moved = sitk.ReadImage(str(first / "moved.nii.gz"))
    maps = [sitk.ReadTransform(str(folder / "transform.h5")) for folder in (first, second)]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in moved.GetSize()), indexing="ij"), axis=-1).reshape(-1, 3)
    points = [moved.TransformIndexToPhysicalPoint(tuple(int(i) for i in each)) for each in index[::7]]
    return max(float(np.linalg.norm(np.subtract(maps[0].TransformPoint(p), maps[1].TransformPoint(p)))) for p in points)
