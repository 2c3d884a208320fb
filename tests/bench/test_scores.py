import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from samereg.bench.dataset import Dataset, Structure
from samereg.bench.record import read_record
from samereg.bench.scores import FieldScore, score_field, score_labels, score_landmarks
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import LabelMap
from samereg.metrics.landmarks import target_error

NAMES = Dataset(name="", cases=(), structures={1: Structure(name="tube", group="tubes", partial=True)})
GRID = axis_aligned_grid((30, 30, 30), (2.0, 2.0, 2.0))


def labels(**boxes):
    """Boxes by label, as `_5=((low), (high))`."""
    data = torch.zeros(GRID.shape, dtype=torch.int64)
    for value, (low, high) in boxes.items():
        data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = int(value[1:])
    return LabelMap(data=data, grid=GRID)


def shift(*mm):
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor(mm, dtype=torch.float64))


def only(scores):
    (score,) = scores
    return score


INNER = ((8, 8, 8), (20, 20, 20))


def test_a_structure_on_itself_is_perfect():
    score = only(score_labels(labels(_5=INNER), labels(_5=INNER), Affine.identity(), structures=NAMES))
    assert (score.state, score.dice, score.asd_mm, score.hd95_mm) == ("scored", 1.0, 0.0, 0.0)


def test_dice_and_distance_of_a_known_shift():
    score = only(score_labels(labels(_5=INNER), labels(_5=INNER), shift(4.0, 0.0, 0.0), structures=NAMES))
    assert score.dice == pytest.approx(10 / 12)
    assert score.hd95_mm == 4.0


def test_a_label_of_one_scan_alone_says_so():
    fixed, moving = labels(_5=INNER), labels(_6=INNER)
    states = {s.value: s.state for s in score_labels(fixed, moving, Affine.identity(), structures=NAMES)}
    assert states == {5: "missing in moving", 6: "missing in fixed"}


def test_a_structure_that_did_not_arrive_is_lost_with_no_overlap_and_no_distance():
    corner = ((1, 1, 1), (9, 9, 9))
    score = only(score_labels(labels(_5=INNER), labels(_5=corner), shift(24.0, 0.0, 0.0), structures=NAMES))
    assert (score.state, score.dice, score.asd_mm) == ("lost", 0.0, None)


def test_a_structure_outside_the_common_view_is_not_scored():
    score = only(score_labels(labels(_5=INNER), labels(_5=INNER), shift(50.0, 0.0, 0.0), structures=NAMES))
    assert (score.state, score.dice) == ("not in common view", None)


def test_a_cut_structure_is_scored_where_both_scans_exist():
    reaching = ((8, 8, 8), (20, 20, 30))
    score = only(score_labels(labels(_5=reaching), labels(_5=reaching), shift(10.0, 0.0, 0.0), structures=NAMES))
    # In view are 25 of 30 columns: 17 of the fixed structure, 22 of the moved one, which begins 5 columns before it.
    assert (score.state, score.dice) == ("cut", pytest.approx(2 * 17 / (17 + 22)))


def test_a_partly_contoured_structure_is_scored_between_common_slices():
    long, short = ((2, 10, 10), (28, 18, 18)), ((10, 10, 10), (20, 18, 18))
    score = only(score_labels(labels(_1=long), labels(_1=short), Affine.identity(), structures=NAMES))
    assert score.dice == 1.0
    whole = only(score_labels(labels(_5=long), labels(_5=short), Affine.identity(), structures=NAMES))
    assert whole.dice == pytest.approx(2 * 10 / 36)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_translation_is_perfectly_regular_on_either_handedness(mirrored):
    affine = GRID.affine.clone()
    if mirrored:
        affine[:3, 0] *= -1.0
    grid = Grid(shape=GRID.shape, affine=affine)
    found = score_field(shift(5.0, 1.0, 0.0), shift(-5.0, -1.0, 0.0), torch.ones(GRID.shape, dtype=torch.bool), grid)
    assert found.folded_fraction == found.folded_mm3 == found.folded_share == 0.0
    assert found.jacobian_std < 1e-4
    assert found.inverse_mm == pytest.approx(0.0, abs=1e-9)


def test_a_mirror_is_folded_everywhere():
    mirror = Affine(matrix=torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64)))
    found = score_field(mirror, None, torch.ones(GRID.shape, dtype=torch.bool), GRID)
    assert (found.folded_fraction, found.folded_share, found.inverse_mm) == (1.0, 1.0, None)


def test_landmarks_are_compared_by_name():
    fixed = {"a": (0.0, 0.0, 0.0), "b": (1.0, 1.0, 1.0), "only here": (9.0, 9.0, 9.0)}
    moving = {"b": (4.0, 1.0, 1.0), "a": (3.0, 0.0, 4.0)}
    found = score_landmarks(fixed, moving, shift(3.0, 0.0, 0.0))
    assert (found.count, found.mean_mm, found.max_mm) == (2, 2.0, 4.0)
    assert score_landmarks({"x": (0.0, 0.0, 0.0)}, moving, shift(0.0, 0.0, 0.0)) is None


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    names = {"p25_mm": "quarter_mm", "p75_mm": "three_quarters_mm", "p95_mm": "most_mm", "max_mm": "largest_mm"}
    error = target_error(torch.zeros(3, 3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64))
    plain = {names.get(name, name): value for name, value in asdict(error).items()}
    field = FieldScore(
        jacobian_std=0.1, log_jacobian_std=0.1, folded_fraction=0.0, folded_mm3=0.0, folded_share=0.0, inverse_mm=None
    )
    scores = {"labels": [], "dice": None, "asd_mm": None, "hd95_mm": None, "landmarks": plain, "field": asdict(field)}
    path = tmp_path / "pair.json"
    path.write_text(
        json.dumps(
            {"method": "m", "title": "M", "task": "t", "fixed": "a", "moving": "b", "status": "done", "timing": None}
            | {"scores": scores}
        )
    )
    found = read_record(path).scores
    assert found is not None
    assert found.landmarks == error
