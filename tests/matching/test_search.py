"""Matching on an embedding whose answers are known: features that are smooth functions of world position."""

from dataclasses import dataclass
from math import inf

import pytest
import torch

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, strided, voxel_centres_mm
from samereg.matching import modes
from samereg.matching.embed import EmbeddedVolume
from samereg.matching.points import grid_points, mask_at
from samereg.matching.search import Candidates, Search, _nearest, candidates, match, search
from samereg.matching.stable import stable_points

GRID = axis_aligned_grid((64, 60, 56), (2.0, 2.0, 2.0), (-50.0, 10.0, -300.0))
SHIFT_MM = torch.tensor([9.0, -7.0, 5.0], dtype=torch.float64)


@dataclass(frozen=True)
class UnitHeads:
    """Heads that only normalise."""

    def project_local(self, rows):
        return torch.nn.functional.normalize(rows, dim=-1)

    def project_global(self, rows):
        return torch.nn.functional.normalize(rows, dim=-1)


def position_code(points_mm: torch.Tensor, *, wavelength_mm: float) -> torch.Tensor:
    """Random Fourier features: their cosine falls with distance, whatever the direction."""
    frequency = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)) / wavelength_mm
    phase = points_mm.float() @ frequency
    return torch.cat([phase.sin(), phase.cos()], -1)


def embedded(grid: Grid, to_canonical: Affine) -> EmbeddedVolume:
    """A scan whose anatomy at `p` is that of the canonical place `to_canonical(p)`."""
    maps = []
    for stride, wavelength in ((2, 12.0), (8, 60.0)):
        places = to_canonical.apply(voxel_centres_mm(strided(grid, stride)))
        maps.append(position_code(places, wavelength_mm=wavelength).permute(3, 0, 1, 2))
    return EmbeddedVolume(grid=grid, local=maps[0], global_=maps[1], strides=(2, 8), heads=UnitHeads())


def shifted_pair() -> tuple[EmbeddedVolume, EmbeddedVolume]:
    back = Affine.from_parts(torch.eye(3, dtype=torch.float64), -SHIFT_MM)
    return embedded(GRID, Affine.identity()), embedded(GRID, back)


def inner_points() -> torch.Tensor:
    points = grid_points(GRID, stride_vox=8)
    return points[GRID.contains(points + SHIFT_MM, margin_vox=-6.0) & GRID.contains(points, margin_vox=-6.0)]


def test_matches_land_within_a_voxel_of_the_truth():
    fixed, moving = shifted_pair()
    found = match(fixed, moving, inner_points())
    error = (found.moving_mm - inner_points() - SHIFT_MM).norm(dim=1)
    assert error.max() < 2.0  # one voxel, from candidates 8 mm apart


def test_cycles_of_a_unique_anatomy_are_short():
    fixed, moving = shifted_pair()
    assert match(fixed, moving, inner_points()).cycle_mm.max() < 2.0


def test_a_scan_matches_itself_to_half_a_millimetre():
    fixed, _ = shifted_pair()
    points = inner_points() + 0.7
    found = match(fixed, fixed, points)
    assert (found.moving_mm - points).norm(dim=1).max() < 0.5
    assert found.similarity.min() > 0.98


def test_chunks_do_not_change_the_answer(monkeypatch):
    fixed, moving = shifted_pair()
    whole = match(fixed, moving, inner_points())
    monkeypatch.setattr("samereg.matching.search.TABLE_ELEMENTS", 20000)
    monkeypatch.setattr("samereg.matching.search.TABLE_QUERIES", 11)
    monkeypatch.setattr("samereg.matching.search.BLOCK_PLACES", 17)
    parts = match(fixed, moving, inner_points(), settings=Search(fine_rows=7))
    # products of other shapes may round differently
    assert torch.allclose(whole.moving_mm, parts.moving_mm, atol=1e-4)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 500])
def test_the_nearest_place_is_found_whatever_their_number(count):
    generator = torch.Generator().manual_seed(0)
    queries, embeddings = (torch.nn.functional.normalize(torch.randn(n, 16, generator=generator)) for n in (70, count))
    table = queries @ embeddings.T
    places = Candidates(points_mm=torch.zeros(count, 3).double(), embeddings=embeddings)
    indices, values = _nearest(queries, torch.zeros(70, 3).double(), places, inf)
    assert torch.equal(indices, table.argmax(1))
    torch.testing.assert_close(values, table.amax(1))


def test_the_nearest_place_in_reach_is_found_in_whatever_cube_it_lies():
    generator = torch.Generator().manual_seed(0)
    origins, points = (300.0 * torch.rand(n, 3, generator=generator, dtype=torch.float64) for n in (90, 800))
    queries, embeddings = (torch.nn.functional.normalize(torch.randn(n, 16, generator=generator)) for n in (90, 800))
    indices, _ = _nearest(queries, origins, Candidates(points_mm=points, embeddings=embeddings), 60.0)
    far = torch.cdist(origins, points) > 60.0
    assert not far.all(1).any()
    assert torch.equal(indices, (queries @ embeddings.T).masked_fill(far, -1.0).argmax(1))


def test_a_limited_reach_gives_the_same_answers_within_it():
    fixed, moving = shifted_pair()
    whole = match(fixed, moving, inner_points())
    near = match(fixed, moving, inner_points(), settings=Search(reach_mm=30.0))
    assert torch.allclose(whole.moving_mm, near.moving_mm, atol=1e-4)


def test_nothing_beyond_the_reach_is_answered():
    fixed, moving = shifted_pair()
    near = match(fixed, moving, inner_points(), settings=Search(reach_mm=8.0))
    # the coarse candidate lies in reach; the fine search climbs two cells of 4 mm and half a cell from there
    assert (near.moving_mm - near.fixed_mm).norm(dim=1).max() <= 8.0 + 2.5 * 4.0 * 3**0.5


def test_answers_are_limited_to_the_given_places():
    fixed, moving = shifted_pair()
    only = candidates(moving, grid_points(GRID, stride_vox=4)[:10])
    found = match(fixed, moving, inner_points(), moving_places=only)
    distance = torch.cdist(found.moving_mm, only.points_mm).amin(1)
    assert distance.max() <= (2 * 4.0 + 2.0) * 3**0.5  # two steps of one cell, and half a cell


def test_grid_points_are_in_the_body_and_evenly_spaced():
    body = torch.zeros(GRID.shape, dtype=torch.bool)
    body[10:40, 20:50, 5:30] = True
    points = grid_points(GRID, body=body, stride_vox=8)
    assert mask_at(body, GRID, points).all()
    assert torch.cdist(points, points).fill_diagonal_(99.0).amin(1).allclose(torch.tensor(16.0).double())


def test_masks_hold_nothing_beyond_their_grid():
    body = torch.ones(GRID.shape, dtype=torch.bool)
    outside = GRID.origin_mm[None] - 10.0
    assert not mask_at(body, GRID, outside).any()


def wandered(rounds: int, points: torch.Tensor) -> torch.Tensor:
    fixed, moving = shifted_pair()
    places = [candidates(scan, grid_points(scan.grid, stride_vox=4)) for scan in (fixed, moving)]
    return stable_points(fixed, moving, points, places=(places[0], places[1]), settings=Search(), rounds=rounds)


def test_points_of_distinct_anatomy_stay_where_they_are():
    points = inner_points()
    found = wandered(2, points)
    assert len(found) == len(points)
    # there and back errs by a fraction of a local cell of 4 mm each way
    assert float((found - points).norm(dim=1).max()) < 2.0


def test_without_rounds_the_grid_is_kept():
    assert torch.equal(wandered(0, inner_points()), inner_points())


def test_points_that_end_in_one_place_become_one():
    points = inner_points()
    doubled = torch.cat([points, points + 0.3])
    assert len(wandered(1, doubled)) < 1.2 * len(points)


def test_the_similarity_is_that_of_the_place_that_is_answered():
    fixed, moving = shifted_pair()
    points = inner_points()[:40]
    queries = fixed.at(points)
    found = search(queries, points, candidates(moving, grid_points(moving.grid, stride_vox=4)), moving)
    there = (queries * moving.at(found.points_mm)).sum(1)
    torch.testing.assert_close(found.similarity, there.float(), atol=1e-5, rtol=0)


def test_many_places_of_many_points_are_joined_whatever_each_chunk_found(monkeypatch):
    fixed, moving = shifted_pair()
    points = inner_points()[:12]
    places = candidates(moving, grid_points(moving.grid, stride_vox=8))
    monkeypatch.setattr(modes, "QUERIES_AT_ONCE", 1)
    found = modes.find_modes(fixed.at(points), places, moving, count=50, apart_mm=40.0)
    assert found.points_mm.shape[0] == len(points)
    assert bool(torch.isfinite(found.similarity).all())
