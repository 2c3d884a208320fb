"""Whole commands on phantom scans, with the shipped embedding, as a user runs them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from samereg.app.phantoms import PhantomSettings, write_phantoms
from samereg.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COHORT = PhantomSettings(subjects=2, seed=100, spacing_mm=(3.0, 3.0, 3.0), shape=(128, 96, 140))
LUNGS = (1, 2)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    write_phantoms(folder, settings=COHORT)
    return folder


@pytest.fixture(scope="module")
def scans(cohort: Path) -> tuple[Path, Path]:
    return cohort / "images" / "phantom-100-CE.nii.gz", cohort / "images" / "phantom-101-NC.nii.gz"


@pytest.fixture(scope="module")
def result(scans: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result") / "out"
    words = ["register", "-f", str(scans[0]), "-m", str(scans[1]), "-o", str(folder), "--device", "cpu"]
    assert main(words) == 0
    return folder


def dice(first: sitk.Image, second: sitk.Image, label: int) -> float:
    a, b = sitk.GetArrayFromImage(first) == label, sitk.GetArrayFromImage(second) == label
    return float(2 * np.logical_and(a, b).sum() / (a.sum() + b.sum()))


def test_lungs_overlap_better_in_another_reader(cohort: Path, result: Path) -> None:
    fixed = sitk.ReadImage(str(cohort / "labels" / "phantom-100.nii.gz"))
    moving = sitk.ReadImage(str(cohort / "labels" / "phantom-101.nii.gz"))
    transform = sitk.ReadTransform(str(result / "transform.h5"))
    before = sitk.Resample(moving, fixed, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkNearestNeighbor)
    after = sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor)
    for label in LUNGS:
        assert dice(fixed, after, label) > max(0.85, dice(fixed, before, label))


def test_the_quality_of_the_record_is_good(result: Path) -> None:
    record = json.loads((result / "run.json").read_text())
    assert record["exit_status"] == 0
    assert record["quality"]["folded_fraction"] == 0
    assert record["quality"]["inverse_consistency_mm"] < 0.5
    assert record["quality"]["overlap_fraction"] > 0.8


def test_moved_scan_is_the_transform_applied_by_another_reader(scans: tuple[Path, Path], result: Path) -> None:
    fixed, moving = (sitk.ReadImage(str(path)) for path in scans)
    transform = sitk.ReadTransform(str(result / "transform.h5"))
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1024.0))
    moved = sitk.GetArrayFromImage(sitk.ReadImage(str(result / "moved.nii.gz")))
    # Rounding of positions differs between the two: a little at edges, nothing elsewhere.
    assert np.quantile(np.abs(moved.astype(float) - expected), 0.999) <= 2


def test_used_matches_follow_the_transform(result: Path) -> None:
    transform = sitk.ReadTransform(str(result / "transform.h5"))
    with (result / "matches.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["used"] == "1"]
    distances = [
        np.linalg.norm(
            np.subtract(
                transform.TransformPoint([float(row[f"fixed_{axis}_mm"]) for axis in "xyz"]),
                [float(row[f"moving_{axis}_mm"]) for axis in "xyz"],
            )
        )
        for row in rows
    ]
    assert len(rows) > 100
    assert np.median(distances) < 10  # mm: the smooth field goes through the middle of noisy matches


def test_one_seed_gives_one_result(scans: tuple[Path, Path], result: Path, tmp_path: Path) -> None:
    words = ["register", "-f", str(scans[0]), "-m", str(scans[1]), "-o", str(tmp_path / "again")]
    assert main([*words, "--device", "cpu"]) == 0
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "again" / "moved.nii.gz")))
    assert np.array_equal(again, sitk.GetArrayFromImage(sitk.ReadImage(str(result / "moved.nii.gz"))))


def test_apply_carries_labels_both_ways(cohort: Path, result: Path, tmp_path: Path) -> None:
    fixed, moving = (cohort / "labels" / f"phantom-{number}.nii.gz" for number in (100, 101))
    there, back = tmp_path / "there.nii.gz", tmp_path / "back.nii.gz"
    for transform, image, reference, output in (
        ("transform.h5", moving, fixed, there),
        ("inverse.h5", there, moving, back),
    ):
        words = ["apply", "-t", str(result / transform), "-i", str(image), "-r", str(reference)]
        assert main([*words, "-o", str(output)]) == 0
    original, returned = sitk.ReadImage(str(moving)), sitk.ReadImage(str(back))
    for label in LUNGS:
        assert dice(original, returned, label) > 0.9


def test_match_finds_landmarks(cohort: Path, scans: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    points = cohort / "landmarks" / "phantom-100.csv"
    with (cohort / "landmarks" / "phantom-101.csv").open(newline="") as stream:
        truth = {row["name"]: row for row in csv.DictReader(stream)}
    words = ["match", "-f", str(scans[0]), "-m", str(scans[1]), "--points", str(points), "--json"]
    assert main([*words, "--device", "cpu"]) == 0
    errors = [
        np.linalg.norm([found[f"moving_{axis}"] - float(truth[found["name"]][axis]) for axis in "xyz"])
        for found in json.loads(capsys.readouterr().out)
    ]
    assert np.median(errors) < 15  # mm


def test_the_demo_improves_the_overlap(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "samereg.cli.main", "demo", "--json", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["dice_after"] > found["dice_before"]
    assert (tmp_path / "samereg-demo" / "registration" / "moved.nii.gz").is_file()
