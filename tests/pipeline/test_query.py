"""Queries and confidence on the phantom, with the shipped embedding."""

import pytest
import torch

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.matching.embed import load_embedder
from samereg.matching.modes import find_modes
from samereg.matching.points import grid_points
from samereg.phantom.subject import make_subject
from samereg.pipeline.confidence import UNKNOWN_MM, Confidence
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.query import Query

MIDDLE = axis_aligned_grid((120, 96, 112), (2.0, 2.0, 2.0), (-111.0, -95.0, -119.0))
"""The middle of the phantom's chest."""
CUT = 40
"""Slices of 2 mm that the moving scan lacks at its lower end."""


@pytest.fixture(scope="module")
def pair():
    """One subject in both phases; the moving scan ends higher up."""
    embedder = load_embedder()
    subject = make_subject(0, grid=MIDDLE)
    whole = subject.volumes["CE"]
    affine = whole.grid.affine.clone()
    affine[:3, 3] = whole.grid.to_world(torch.tensor([float(CUT), 0.0, 0.0], dtype=torch.float64))
    data = whole.data[:, CUT:].contiguous()
    shorter = Volume(data=data, grid=Grid(shape=tuple(data.shape[1:]), affine=affine))
    scans = [prepare_scan(volume, embedder) for volume in (subject.volumes["NC"], shorter)]
    return Pair(fixed=scans[0], moving=scans[1], embedder=embedder)


@pytest.fixture(scope="module")
def answers(pair):
    points_mm = grid_points(pair.fixed.model.grid, body=pair.fixed.body, stride_vox=16)
    return Query().run(pair, points_mm)


def test_places_that_the_moving_scan_lacks_are_said_to_be_outside(pair, answers):
    lacking = ~pair.moving.model.grid.contains(answers.fixed_mm)
    # The bar of the project on real scans: 90 % of those outside, 5 % of the others.
    assert answers.outside[lacking].double().mean() >= 0.9
    assert answers.outside[~lacking].double().mean() <= 0.05


def test_the_best_candidate_is_where_the_place_is(pair, answers):
    inside = pair.moving.model.grid.contains(answers.fixed_mm, margin_vox=-8.0)
    assert (answers.candidates_mm[inside, 0] - answers.fixed_mm[inside]).norm(dim=1).median() < 2.0


def test_candidates_fall_in_similarity_and_lie_apart(pair, answers):
    assert bool((answers.similarity.diff(dim=1) <= 0).all())
    assert bool((answers.margin >= 0).all())
    queries = pair.fixed.embedded.at(answers.fixed_mm)
    modes = find_modes(queries, pair.moving.places, pair.moving.embedded, count=3, apart_mm=60.0)
    gaps = torch.cdist(modes.points_mm, modes.points_mm)[:, [0, 0, 1], [1, 2, 2]]
    # Refinement moves each by at most two local cells of 4 mm along each axis.
    assert float(gaps.min()) > 60.0 - 2 * 2 * 4 * 3**0.5 - 2.0


def test_confidence_is_known_in_the_body_alone_and_drops_where_the_map_is_wrong(pair):
    grid = pair.fixed.model.grid
    right = Confidence().volume(pair, Affine.identity(), grid)
    body = pair.fixed.body[None]
    assert bool((right.data[body] >= 0).all())
    assert bool((right.data[~body] == UNKNOWN_MM).all())
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([20.0, 0.0, 0.0], dtype=torch.float64))
    wrong = Confidence().volume(pair, shift, grid)
    upper = body.clone()
    upper[:, : CUT + 20] = False
    assert wrong.data[upper].mean() > right.data[upper].mean() + 1.0
