"""Lesion volume preservation, from the manifest to the table."""

from dataclasses import replace

import pytest
import torch

from samereg.bench.evaluate import evaluate_dataset
from samereg.bench.evaluation_table import evaluation_table
from samereg.bench.read_manifest import read_manifest
from samereg.bench.scores import score_lesions
from samereg.geometry.affine import Affine
from samereg.io.transforms import write_transform


def test_lesions_of_the_manifest_are_scored_and_their_absence_is_no_number(small_folder, tmp_path):
    for name in ("labels.csv", "pairs.csv"):
        (tmp_path / name).write_text((small_folder / name).read_text())
    rows = [f"{n},{small_folder}/{n}.nii.gz,{small_folder}/{n}-labels.nii.gz" for n in ("one", "two", "three")]
    rows[0] += f",{small_folder}/one-labels.nii.gz"
    (tmp_path / "manifest.csv").write_text("\n".join(["id,image,labels,lesions", *rows]) + "\n")
    dataset = read_manifest(tmp_path)
    cases = tuple(case for case in dataset.cases if case.name in ("one__two", "two__one"))
    linear = torch.diag(torch.tensor([1.05, 1.0, 1.0], dtype=torch.float64))
    (tmp_path / "results").mkdir()
    for case in cases:
        scale = Affine.from_parts(linear, torch.zeros(3, dtype=torch.float64))
        write_transform(scale, tmp_path / "results" / f"{case.name}.h5")
    found = evaluate_dataset(replace(dataset, cases=cases), tmp_path / "results")
    volumes = {f"{each.fixed}__{each.moving}": each.scores.lesion_volume for each in found}
    assert volumes == {"one__two": pytest.approx(0.05), "two__one": None}
    header, rows = evaluation_table(found)
    cells = {row[1]: row[header.index("lesion volume (%)")] for row in rows}
    assert cells == {"one <- two": "5.00", "two <- one": "-", "mean of 2": "5.00 (1 of 2)"}


def test_shrinking_counts_as_much_as_growing(small_labels):
    for factor in (0.9, 1.1):
        linear = torch.diag(torch.tensor([factor, 1.0, 1.0], dtype=torch.float64))
        scale = Affine.from_parts(linear, torch.zeros(3, dtype=torch.float64))
        assert score_lesions(small_labels, scale) == pytest.approx(0.1)
    assert score_lesions(replace(small_labels, data=0 * small_labels.data), Affine.identity()) is None
