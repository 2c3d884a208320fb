"""What a user knows reaches the stages; on the phantom three landmarks mend what is wrong without them."""

from dataclasses import replace

import pytest
import torch

from known_session import prepared_without_networks
from samereg.errors import InputError, NoOverlapError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.matching.embed import load_embedder
from samereg.matching.landmarks import Landmarks, no_landmarks
from samereg.matching.matches import Matches
from samereg.matching.points import grid_points
from samereg.matching.search import Candidates
from samereg.phantom.subject import make_subject
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.guidance import (
    Guidance,
    LandmarkStage,
    StartStage,
    continued,
    counted_voxels,
    guided,
    only_counted,
    rough_map,
)
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.recipes import fast
from samereg.pipeline.register import register_pair
from samereg.pipeline.stage import beginning

HERE = (Affine.identity(), Affine.identity())
PLACES = torch.tensor([[0.0, 0.0, 0.0], [70.0, 0.0, -90.0], [-70.0, 10.0, -90.0]], dtype=torch.float64)
TURN = Affine.from_parts(
    torch.tensor([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64),
    torch.tensor([20.0, -30.0, 60.0], dtype=torch.float64),
)


class NoEmbedder:
    record = None

    def embed(self, model):
        raise NotImplementedError

    def restore(self, grid, local, global_):
        raise NotImplementedError


@pytest.fixture
def pair(small_ct: Volume) -> Pair:
    """A scan and itself, with one place of its body for matches to lie in."""
    scan = prepared_without_networks(small_ct)
    places = Candidates(points_mm=torch.zeros(1, 3, dtype=torch.float64), embeddings=torch.ones(1, 4))
    scan = replace(scan, places=places)
    return Pair(fixed=scan, moving=scan, embedder=NoEmbedder())


def landmarks(to_moving: Affine = TURN) -> Landmarks:
    return Landmarks(names=("a", "b", "c"), fixed_mm=PLACES, moving_mm=to_moving.apply(PLACES))


def upper_half(volume: Volume) -> Volume:
    """1 in the upper half of a scan, on a grid of twice its spacing."""
    affine = volume.grid.affine.clone()
    affine[:3, :3] *= 2.0
    depth, height, width = (n // 2 + 1 for n in volume.grid.shape)
    data = torch.zeros(1, depth, height, width)
    data[:, depth // 2 :] = 1.0
    return Volume(data=data, grid=Grid(shape=(depth, height, width), affine=affine), background=0.0)


def test_landmarks_give_a_rigid_map_and_two_of_them_a_shift() -> None:
    torch.testing.assert_close(rough_map(landmarks()).matrix, TURN.matrix)
    two = Landmarks(names=("a", "b"), fixed_mm=PLACES[:2], moving_mm=PLACES[:2] + 7.0)
    torch.testing.assert_close(rough_map(two).apply(PLACES), PLACES + 7.0)


def test_a_start_that_misses_the_landmarks_by_far_is_moved_onto_them(pair: Pair) -> None:
    wrong = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([90.0, 0.0, 0.0], dtype=torch.float64))
    given = replace(pair, landmarks=landmarks())
    found = StartStage().run(given, beginning(wrong))
    assert float(given.landmarks.residual_mm(found.transform).max()) < 1e-9
    near = Affine.from_parts(TURN.linear, TURN.apply(torch.zeros(1, 3, dtype=torch.float64))[0] + 5.0)
    assert StartStage().run(given, beginning(near)).transform is near


def test_landmarks_that_contradict_each_other_are_named(pair: Pair) -> None:
    exchanged = replace(landmarks(Affine.identity()), moving_mm=PLACES[[0, 2, 1]])
    with pytest.raises(InputError, match="landmarks: 'b' contradicts 'c'"):
        guided(pair, Guidance(landmarks=exchanged), HERE, None)


def test_landmarks_and_masks_follow_a_turned_scan(pair: Pair) -> None:
    upside_down = Affine.from_parts(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)), torch.zeros(3, dtype=torch.float64)
    )
    worlds = (upside_down, Affine.identity())
    mask = upper_half(pair.fixed.volume)
    found = guided(pair, Guidance(landmarks=landmarks(upside_down), fixed_mask=mask), worlds, None)
    torch.testing.assert_close(found.landmarks.fixed_mm, found.landmarks.moving_mm)
    counted = found.fixed.counted
    depth = counted.shape[0] // 2
    assert bool(counted[: depth - 4].any())
    assert not bool(counted[depth + 4 :].any())


def test_a_mask_that_leaves_nothing_is_refused(pair: Pair) -> None:
    mask = upper_half(pair.fixed.volume)
    nothing = replace(mask, data=torch.zeros_like(mask.data))
    with pytest.raises(InputError, match="the moving mask: leaves nothing of the body"):
        guided(pair, Guidance(moving_mask=nothing), HERE, None)


def test_only_places_within_both_masks_count(pair: Pair) -> None:
    mask = upper_half(pair.fixed.volume)
    wide = replace(mask, data=torch.ones_like(mask.data))
    found = guided(pair, Guidance(fixed_mask=wide, moving_mask=mask), HERE, None)
    up = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 60.0], dtype=torch.float64))
    here, moved = counted_voxels(found, Affine.identity()), counted_voxels(found, up)
    assert here is not None
    assert moved is not None
    assert float(moved.mean()) > float(here.mean()) + 0.1
    assert counted_voxels(pair, up) is None
    ends = torch.tensor([[0.0, 0.0, 60.0], [0.0, 0.0, -60.0]], dtype=torch.float64)
    matches = Matches(
        fixed_mm=ends,
        moving_mm=ends,
        similarity=torch.ones(2),
        cycle_mm=torch.zeros(2),
        used=torch.tensor([True, True]),
    )
    assert only_counted(found, matches).used.tolist() == [True, False]
    assert only_counted(pair, matches) is matches


def test_a_field_is_continued_into_what_does_not_count(pair: Pair) -> None:
    seen = torch.ones(1, 48, 40, 56)
    seen[:, 20:28, 16:24, 20:28] = 0.0
    field = torch.full((1, 3, 24, 20, 28), 2.0)
    field[:, :, 10:14, 8:12, 10:14] = -9.0
    assert continued(field, pair, seen) is field
    masked = replace(pair, fixed=replace(pair.fixed, mask=seen[0] > 0))
    torch.testing.assert_close(continued(field, masked, seen), torch.full_like(field, 2.0))


def test_the_coarse_field_goes_through_landmarks_against_the_matches_around_them(pair: Pair) -> None:
    """Matches that say nothing moves, each 16 mm, and one landmark that moves by 12 mm."""
    axis = torch.arange(-96.0, 97.0, 16.0, dtype=torch.float64)
    lattice = torch.cartesian_prod(axis, axis, axis)
    matches = Matches(
        fixed_mm=lattice,
        moving_mm=lattice,
        similarity=torch.ones(len(lattice)),
        cycle_mm=torch.zeros(len(lattice)),
        used=torch.ones(len(lattice), dtype=torch.bool),
    )
    shift = torch.tensor([[12.0, 0.0, 0.0]], dtype=torch.float64)
    one = Landmarks(names=("a",), fixed_mm=PLACES[:1] + 3.0, moving_mm=PLACES[:1] + 3.0 + shift)
    stage = CoarseStage()
    for given, limit_mm in ((one, 5.0), (no_landmarks(), 12.1)):
        displacement, outcome = stage._fill(replace(pair, landmarks=given), matches, Affine.identity(), stage.last_fill)
        assert outcome.converged
        assert float(one.residual_mm(displacement).max()) < limit_mm


@pytest.fixture(scope="module")
def slab() -> Pair:
    """72 slices of a phantom in both phases: the domes of the diaphragm and the heart."""
    grid = axis_aligned_grid((72, 144, 200), (2.0, 2.0, 2.0), (-199.0, -143.0, -130.0))
    volumes, embedder = make_subject(0, grid=grid).volumes, load_embedder("compact")
    fixed, moving = (prepare_scan(volumes[phase], embedder) for phase in ("NC", "CE"))
    return Pair(fixed=fixed, moving=moving, embedder=embedder)


CLICKS = torch.tensor([[-67.0, 3.0, -78.0], [71.0, 5.0, -86.0], [1.0, 57.0, -5.0]], dtype=torch.float64)
"""Both domes and the body of a vertebra, in a pair whose places are the same."""


@pytest.mark.slow
def test_three_landmarks_mend_a_registration_that_began_beside_the_scan(slab: Pair) -> None:
    wrong = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([150.0, 0.0, 200.0], dtype=torch.float64))
    stages = fast()[1:]
    with pytest.raises(NoOverlapError):
        register_pair(slab, stages=stages, start=wrong)
    clicked = Landmarks(names=("right dome", "left dome", "T7"), fixed_mm=CLICKS, moving_mm=CLICKS + 2.0)
    guidance = Guidance(landmarks=clicked)
    found = register_pair(slab, stages=(StartStage(), *stages, LandmarkStage()), start=wrong, guidance=guidance)
    points_mm = grid_points(slab.fixed.model.grid, body=slab.fixed.body)
    error_mm = (found.transform.apply(points_mm) - points_mm).norm(dim=1)
    assert float(error_mm.median()) < 1.5
    assert found.quality.folded_fraction == 0.0
    assert [residual.name for residual in found.landmarks] == list(clicked.names)
    assert all(residual.start_mm > 200.0 for residual in found.landmarks)
    assert all(residual.left_mm < 0.5 for residual in found.landmarks)


@pytest.mark.slow
def test_landmarks_stand_in_for_matches_where_the_scans_share_none(slab: Pair) -> None:
    """Without a place that matches may lie in, except one, SAM-affine is the rigid map of the landmarks."""
    places = slab.moving.places
    few = Candidates(points_mm=places.points_mm[:1], embeddings=places.embeddings[:1])
    lost = replace(slab, moving=replace(slab.moving, places=few))
    with pytest.raises(NoOverlapError):
        AffineStage().run(lost, beginning())
    clicked = Landmarks(names=("a", "b", "c"), fixed_mm=CLICKS, moving_mm=TURN.apply(CLICKS))
    found = AffineStage().run(replace(lost, landmarks=clicked), beginning())
    torch.testing.assert_close(found.transform.apply(CLICKS), clicked.moving_mm)
    assert found.matches is None


@pytest.mark.slow
def test_matches_rest_on_what_the_masks_leave(slab: Pair) -> None:
    volume = slab.fixed.volume
    left = torch.zeros_like(volume.data)
    left[..., volume.grid.shape[2] // 2 :] = 1.0
    mask = Volume(data=left, grid=volume.grid, background=0.0)
    masked = guided(slab, Guidance(fixed_mask=mask, moving_mask=mask), HERE, None)
    matches = AffineStage().match(masked)
    assert bool((matches.fixed_mm[:, 0] > -2.0).all())
    assert bool((matches.moving_mm[matches.used, 0] > -2.0).all())
    assert 100 < len(matches) < len(AffineStage().match(slab))
