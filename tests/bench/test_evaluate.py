import json

import pytest
import torch

from bench.small_dataset import SHIFTS_MM
from samereg.bench.evaluate import evaluate_dataset, find_transform, write_evaluation
from samereg.bench.evaluation_table import evaluation_table
from samereg.errors import FileError
from samereg.geometry.affine import Affine
from samereg.io.transforms import write_transform


@pytest.fixture(scope="module")
def results(tmp_path_factory, small_dataset):
    """The right answer for every pair, in both places and in two formats."""
    folder = tmp_path_factory.mktemp("results")
    for number, case in enumerate(small_dataset.cases):
        here, there = (torch.tensor(SHIFTS_MM[scan.name], dtype=torch.float64) for scan in (case.fixed, case.moving))
        right = Affine.from_parts(torch.eye(3, dtype=torch.float64), there - here)
        write_transform(right, folder / (f"{case.name}.tfm" if number % 2 else f"{case.name}/transform.h5"))
    return folder


def test_the_right_transform_is_perfect_whoever_wrote_it(results, small_dataset):
    for each in evaluate_dataset(small_dataset, results):
        assert each.scores.dice == 1.0
        assert each.scores.landmarks.largest_mm == pytest.approx(0.0, abs=1e-9)
        assert each.scores.field.folded_share == 0.0


@pytest.mark.filterwarnings("ignore")  # the other library's own
def test_the_challenges_figures_stand_beside_ours(results, small_dataset, tmp_path):
    pytest.importorskip("surface_distance")
    found = evaluate_dataset(small_dataset.only(("near",)), results, learn2reg_compat=True)
    header, rows = evaluation_table(found)
    assert header[-3:] == ("L2R Dice (%)", "L2R HD95 (vox)", "L2R SD log J")
    assert rows[-1][:3] == ["all", "mean of 2", "100.00"]
    write_evaluation(found, tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())[0]["challenge"]["dropped"] == []


def test_a_missing_transform_is_named_before_anything_is_scored(small_dataset, tmp_path):
    with pytest.raises(FileError, match=r"no transform for the pair one__two; need .*one__two/transform\.h5"):
        find_transform(tmp_path, small_dataset.cases[0])
