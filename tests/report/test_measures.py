"""Figures of the report against what is known of a made registration."""

import pytest
import torch

from report.made import BUMP_MM, SHIFT_MM, Made
from samereg.app.run_folder import RunFolder
from samereg.geometry.affine import Affine
from samereg.geometry.fields import from_transform
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_labels
from samereg.io.images import read_labels
from samereg.pipeline.quality import match_errors_mm
from samereg.report.measures import (
    best_affine,
    describe_affine,
    measure_maps,
    measure_similarity,
    score_organs,
)
from samereg.report.sources import ReportPaths, read_sources

QUALITY = {"folded_fraction": 0.0, "jacobian_std": 0.1, "overlap_fraction": 0.9, "inverse_consistency_mm": 0.1}


def shift(*by_mm: float) -> Affine:
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor(by_mm, dtype=torch.float64))


def test_the_best_affine_of_an_affine_map_is_that_map() -> None:
    linear = torch.tensor([[1.1, 0.1, 0.0], [-0.1, 0.9, 0.05], [0.0, 0.2, 1.0]], dtype=torch.float64)
    affine = Affine.from_parts(linear, torch.tensor([30.0, -20.0, 500.0], dtype=torch.float64))
    grid = axis_aligned_grid((8, 9, 10), (10.0, 10.0, 10.0), (-50.0, 200.0, -1000.0))
    found = best_affine(from_transform(affine, grid), torch.ones(grid.shape, dtype=torch.bool))
    # The displacement is stored in single precision: 500 mm to about 3e-5 mm.
    assert torch.allclose(found.matrix, affine.matrix, atol=1e-2)
    assert torch.allclose(found.linear, linear, atol=1e-5)


def test_a_pure_shift_deforms_nothing_and_is_told_in_words(small_ct: Volume) -> None:
    maps = measure_maps(small_ct, shift(-12.0, 7.0, 30.0))
    assert float(maps.deformation_mm.max()) < 1e-2
    assert torch.allclose(maps.jacobian, torch.ones_like(maps.jacobian), atol=1e-4)
    told = dict(describe_affine(maps))
    assert told["Translation of the body centroid"] == "12 mm right, 7 mm back, 30 mm up"
    assert told["Rotation"] == "0.0°"
    assert told["Scale along x, y, z"] == "100 %, 100 %, 100 %"


def test_what_an_affine_map_cannot_do_is_deformation(made: Made, small_ct: Volume) -> None:
    maps = measure_maps(small_ct, made.transform)
    assert 0.2 * BUMP_MM < float(maps.deformation_mm[maps.body].max()) < BUMP_MM
    centre_mm = maps.affine.apply(torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(centre_mm[1:], torch.tensor(SHIFT_MM, dtype=torch.float64)[1:], atol=0.1)


def test_a_scan_is_most_similar_to_itself_and_less_so_when_shifted(small_ct: Volume) -> None:
    same = measure_similarity(small_ct, small_ct, Affine.identity())
    shifted = measure_similarity(small_ct, small_ct, shift(0.0, 0.0, 15.0))
    assert same.before == same.after > 0.9
    assert shifted.after < 0.8 * shifted.before


def test_scans_that_do_not_meet_have_no_similarity(small_ct: Volume) -> None:
    found = measure_similarity(small_ct, small_ct, shift(0.0, 0.0, 5000.0))
    assert found.after != found.after


def test_matches_are_measured_from_where_the_transform_takes_them(made: Made) -> None:
    sources = read_sources(RunFolder(made.folder), ReportPaths())
    errors_mm = match_errors_mm(sources.matches, sources.transform)
    assert len(errors_mm) == 400
    # Coordinates are written to a thousandth of a millimetre; the field in single precision.
    assert torch.allclose(errors_mm, torch.ones(400, dtype=torch.float64), atol=5e-3)


def test_a_good_registration_is_more_similar_after(made: Made) -> None:
    sources = read_sources(RunFolder(made.folder), ReportPaths())
    similarity = measure_similarity(sources.fixed, sources.moving, sources.transform)
    assert similarity.after > 1.5 * similarity.before


def test_organs_overlap_after_and_keep_their_volumes(made: Made) -> None:
    fixed, moving = read_labels(made.fixed_labels), read_labels(made.moving_labels)
    moved = resample_labels(moving, made.transform, fixed.grid)
    scores = {score.value: score for score in score_organs(fixed, moving, moved)}
    assert sorted(scores) == [1, 2, 3]
    for score in scores.values():
        # Twice to the nearest of 5 mm voxels, there and back.
        assert score.dice_after > 0.9 > score.dice_before
        assert score.moved_ml == pytest.approx(score.fixed_ml, rel=0.05)
    voxel_ml = 0.125
    assert scores[2].fixed_ml == pytest.approx(voxel_ml * float((fixed.data == 2).sum()))


def test_a_label_of_one_scan_alone_is_no_organ(small_labels: LabelMap) -> None:
    other = LabelMap(data=small_labels.data * (small_labels.data != 2), grid=small_labels.grid)
    assert [score.value for score in score_organs(small_labels, other, other)] == [1, 3]
