"""Damaged files of every format: read as before, refused by name, or read as another reader reads them."""

import mmap
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import worker
from benchmarks.faults.cases import run_cases, shrunk
from benchmarks.faults.format import Value, target_of
from benchmarks.faults.judge import CRASH, GOOD, HANG, MEMORY, MUTE, WRONG, Ending
from benchmarks.faults.mutations import random_recipe
from benchmarks.faults.records import read_rows
from benchmarks.faults.splices import Recipe, Splice, mutated, recipe_of
from benchmarks.faults.worker import BY_NAME, Watched, base_of, run_here
from samereg.errors import FileError, SameregError

FLIP = Splice(kind="flip", file="greedy.mat", at=3, size=1, new="39")
RECIPE = Recipe(format="greedy matrix", splices=(FLIP,))

FOUND = (
    ("checkpoint", "checkpoint.safetensors", -3, 1, "7f", "raw"),
    ("checkpoint", "checkpoint.safetensors", 20, 1, "ff", "raw"),
    ("checkpoint", "checkpoint.safetensors", -9, 9, "", "raw"),
    ("cached arrays", "key.safetensors", -3, 1, "7f", "raw"),
    ("run record", "run.json", 20, 1, "00", "raw"),
    ("bench record", "case.json", 104, 4, "6e756c6c", "raw"),
    ("metaimage", "scan.mha", 217, 3, "78", "raw"),
    ("nrrd", "scan.nrrd", 277, 1, "3165333038", "raw"),
    ("nifti series", "series.nii", 300, 4, "0000807f", "raw"),
    ("field nifti", "field.nii.gz", 1465, 60, "", "raw"),
    ("metaimage compressed", "scan.mha", 621, 1, "8c", "raw"),
    ("nrrd gzipped", "scan.nrrd", 656, 14, "00" * 14, "raw"),
    ("stl text", "mesh.stl", 318, 40, "", "raw"),
    ("elastix spline", "TransformParameters.txt", 4399, 14, "2d696e66", "raw"),
    ("metaimage", "scan.mha", 84, 53, "", "raw"),
    ("learn2reg nifti", "disp.nii.gz", 116, 4, "0000807f", "gzip"),
    ("niftyreg", "deformation.nii.gz", 70, 2, "0006", "gzip"),
    ("metaimage compressed", "scan.mha", 387, 417, "", "raw"),
    ("points csv", "points.csv", 92, 7, "315f303030", "raw"),
    ("itk tfm", "transform.tfm", 7423, 1, "3165333038", "raw"),
    ("itk mat", "affine.mat", 24, 1, "ee", "raw"),
    ("itk txt", "affine.txt", 78, 1, "9f", "raw"),
    ("learn2reg npz", "disp.npz", 27, 30, "37b1b8a9d2379432aaae96b4e9332cb05db3ca30", "raw"),
    ("matches", "matches.csv", 1169, 6, "6e616e", "raw"),
    ("run record", "run.json", 571, 6, "31", "raw"),
    ("vtk binary", "mesh.vtk", 73, 1, "3939393939393939393939393939393939393939", "raw"),
    ("vtk text", "mesh.vtk", 103, 6, "315f303030", "raw"),
    ("metaimage", "scan.mha", 217, 3, "", "raw"),
    ("fcsv", "points.fcsv", 246, 1, "cb", "raw"),
)
"""Damage that was read wrongly, crashed or hung: format, file, first byte, size, what comes there, and the view."""


def with_reader(monkeypatch: pytest.MonkeyPatch, read: object) -> None:
    changed = replace(BY_NAME["greedy matrix"], read=read)
    base = base_of("greedy matrix")
    monkeypatch.setattr(worker, "BY_NAME", {**BY_NAME, "greedy matrix": changed})
    monkeypatch.setattr(worker, "base_of", lambda _name: base)


@pytest.mark.parametrize("name", BY_NAME)
def test_both_readers_read_the_base_alike(name: str) -> None:
    assert base_of(name).size > 0


@pytest.mark.parametrize(("name", "file", "at", "size", "new", "view"), FOUND)
def test_damage_that_was_found_ends_well(name: str, file: str, at: int, size: int, new: str, view: str) -> None:
    start = at if at >= 0 else len(base_of(name).files[file]) + at
    recipe = Recipe(format=name, splices=(Splice(kind="found", file=file, view=view, at=start, size=size, new=new),))
    ending = run_here(recipe)
    assert ending.verdict in GOOD, ending


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_damaged_files_end_well(tmp_path: Path) -> None:
    run_cases(1000, 11, tmp_path / "rows.jsonl")
    assert [row for row in read_rows(tmp_path / "rows.jsonl") if row["verdict"] not in GOOD] == []


def test_damage_is_a_function_of_the_seed() -> None:
    target = target_of(BY_NAME["nifti"], base_of("nifti").files)
    first, second = (random_recipe("nifti", target, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert recipe_of(first.plain()) == first
    assert mutated(target.files, first.splices) == mutated(target.files, second.splices) != target.files


def test_a_silent_wrong_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_folder: Path) -> Value:
        return {"0 affine": np.eye(4) * 3}

    with_reader(monkeypatch, read)
    assert run_here(RECIPE).verdict == WRONG


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyError("x"), CRASH),
        (MemoryError(), CRASH),
        (FileError("something is wrong"), MUTE),
        (SameregError("greedy.mat: has no exit code of its own"), MUTE),
    ],
)
def test_an_error_that_helps_nobody_is_noticed(error: Exception, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_folder: Path) -> Value:
        raise error

    with_reader(monkeypatch, read)
    assert run_here(RECIPE).verdict == verdict


def test_memory_beyond_the_bound_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_folder: Path) -> Value:
        # Mapped anew: the allocator may still hold as much from an earlier test.
        large = np.frombuffer(mmap.mmap(-1, 300 * 2**20), np.uint8)
        large[:] = 1
        return {"large": large}

    with_reader(monkeypatch, read)
    assert run_here(RECIPE).verdict == MEMORY


def test_failures_are_shrunk_to_the_byte_that_matters() -> None:
    block = Splice(kind="zero", file="greedy.mat", at=0, size=8, new="00" * 8)
    recipe = Recipe(format="greedy matrix", splices=(FLIP, block))

    def crashes_by_the_block(each: Recipe) -> Ending:
        return Ending(verdict=CRASH if any(splice.at == block.at for splice in each.splices) else "same")

    least = shrunk(recipe, Ending(verdict=CRASH), crashes_by_the_block)
    assert [(splice.at, splice.size) for splice in least.splices] == [(0, 1)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("sent", "verdict"), [(signal.SIGKILL, CRASH), (signal.SIGSTOP, HANG)])
def test_a_worker_that_ends_or_hangs_is_replaced(
    sent: signal.Signals, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched()
    assert watched.run(RECIPE).verdict in GOOD
    monkeypatch.setattr(worker, "LIMIT_S", 2.0)
    os.kill(watched._process.pid, sent)
    assert watched.run(RECIPE).verdict == verdict
    monkeypatch.undo()
    assert watched.run(RECIPE).verdict in GOOD
    watched.close()
