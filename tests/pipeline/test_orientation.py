"""Scans whose headers are wrong about the way round they lie: found, undone, or refused."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from samereg.errors import MirroredError
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.orientation import AS_STORED, MIRRORED, Orientation, every_orientation, turned, turning
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume
from samereg.matching.embed import EmbeddedVolume, EmbedderRecord, load_embedder
from samereg.matching.points import grid_points
from samereg.matching.search import Search
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.orientation import OrientationSearch, Turns
from samereg.pipeline.pair import Pair, prepare_model, prepare_scan
from samereg.pipeline.query import Query
from samereg.pipeline.register import register

TURNS = [each for each in every_orientation() if not each.is_mirror]
SOME_TURNS = [TURNS[number] for number in (3, 4)]
"""A half turn and a quarter turn."""
HALF_TURN = Orientation(rows=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
SETTINGS = OrientationSearch(stride_vox=4, search=Search(stride_vox=2, fine_steps=1), familiar=0.9)
"""For a small scan and an embedding to which nothing looks very different."""


class Heads:
    """Unit length, as the heads of the network."""

    def project_local(self, rows: Tensor) -> Tensor:
        return functional.normalize(rows, dim=1)

    def project_global(self, rows: Tensor) -> Tensor:
        return functional.normalize(rows, dim=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchEmbedder:
    """Embeds a place as the 27 values around it in their order: another way round it looks different."""

    sizes: list[tuple[int, ...]] = field(default_factory=list)

    def embed(self, model: Volume) -> EmbeddedVolume:
        self.sizes.append(tuple(model.data.shape[1:]))
        around = functional.pad(model.data[None], (2,) * 6, mode="replicate")[0, 0]
        d, h, w = model.data.shape[1:]
        shifts = [(i, j, k) for i in (0, 2, 4) for j in (0, 2, 4) for k in (0, 2, 4)]
        patches = torch.stack([around[i : i + d, j : j + h, k : k + w] for i, j, k in shifts])
        features = (patches - patches.mean(0))[:, ::2, ::2, ::2]
        rows = features.movedim(0, -1).contiguous().movedim(-1, 0)
        return self.restore(model.grid, rows, rows)

    @property
    def record(self) -> EmbedderRecord:
        return EmbedderRecord(name="patches", checksum="0" * 64, network="none", precision="float32")

    def restore(self, grid: Grid, local: torch.Tensor, global_: torch.Tensor) -> EmbeddedVolume:
        return EmbeddedVolume(grid=grid, local=local, global_=global_, strides=(2, 2), heads=Heads())


def texture(shape: tuple[int, int, int], spacing_mm: float, seed: int = 0) -> Volume:
    """A block of tissue in air whose inside looks the same nowhere twice, HU."""
    noise = torch.randn(1, 1, *(-(-n // 4) for n in shape), generator=torch.Generator().manual_seed(seed))
    smooth = functional.interpolate(noise, size=shape, mode="trilinear", align_corners=True)[0]
    hu = torch.full((1, *shape), -1000.0)
    inner = (slice(None), *(slice(4, -4) for _ in range(3)))
    hu[inner] = (150.0 * smooth).clamp(-250.0, 390.0)[inner]
    return Volume(data=hu, grid=axis_aligned_grid(shape, (spacing_mm,) * 3, (10.0, -20.0, 30.0)))


@pytest.fixture(scope="module")
def scan() -> Volume:
    return texture((37, 41, 45), 2.0)


def pair_of(fixed: Volume, moving: Volume) -> Pair:
    embedder = PatchEmbedder()
    return Pair(fixed=prepare_scan(fixed, embedder), moving=prepare_scan(moving, embedder), embedder=embedder)


@pytest.mark.parametrize("stored", SOME_TURNS, ids=lambda each: each.words)
def test_a_turned_scan_is_found_to_be_turned(scan: Volume, stored: Orientation) -> None:
    turns = SETTINGS.run(pair_of(scan, turned(scan, stored)))
    # Two turned scans can be told from none only by an embedding that knows anatomy.
    assert torch.equal(turns.moving.matrix @ stored.matrix, turns.fixed.matrix)
    assert turns.sides_checked


@pytest.mark.parametrize("stored", [each.mirrored() for each in SOME_TURNS], ids=lambda each: str(each.rows))
def test_a_mirrored_scan_is_refused(scan: Volume, stored: Orientation) -> None:
    with pytest.raises(MirroredError, match="seems to be a mirror image"):
        SETTINGS.run(pair_of(scan, turned(scan, stored)))


def test_scans_that_agree_cost_three_embeddings_of_an_eighth(scan: Volume) -> None:
    pair = pair_of(scan, scan)
    before = len(pair.embedder.sizes)
    assert SETTINGS.run(pair) == Turns()
    assert len(pair.embedder.sizes[before:]) == 3
    assert all(
        n <= m // 2 + 1 for size in pair.embedder.sizes[before:] for n, m in zip(size, scan.grid.shape, strict=True)
    )


def test_scans_that_look_the_same_in_the_mirror_leave_the_sides_open(scan: Volume) -> None:
    both = replace(scan, data=(scan.data + scan.data.flip(3)) / 2)
    turns = SETTINGS.run(pair_of(both, both))
    assert not turns.sides_checked
    assert turns.notes == ("left and right look too similar in these scans to detect whether one of them is mirrored",)


def test_a_map_to_a_turned_scan_is_the_turn(scan: Volume) -> None:
    stored = turned(scan, HALF_TURN)
    stage = AffineStage(orientation=SETTINGS, stride_vox=4, min_matches=20)
    found = register(scan, stored, stages=(stage,), embedder=PatchEmbedder())
    points_mm = grid_points(scan.grid, stride_vox=8)
    right = turning(scan.grid, HALF_TURN)
    assert (found.transform.apply(points_mm) - right.apply(points_mm)).norm(dim=1).max() < 2.0
    assert (found.inverse.apply(right.apply(points_mm)) - points_mm).norm(dim=1).max() < 2.0
    used = found.matches.used
    assert (right.apply(found.matches.fixed_mm[used]) - found.matches.moving_mm[used]).norm(dim=1).median() < 2.0
    assert "turned by 180 degrees about the z axis" in found.turns.notes[0]


def test_a_scan_that_lies_right_has_the_same_map_to_the_bit_as_without_the_search(scan: Volume) -> None:
    found, believed = (
        register(
            scan,
            scan,
            stages=(AffineStage(orientation=chosen, stride_vox=4, min_matches=20),),
            embedder=PatchEmbedder(),
        )
        for chosen in (SETTINGS, None)
    )
    assert torch.equal(found.transform.matrix, believed.transform.matrix)
    assert torch.equal(found.inverse.matrix, believed.inverse.matrix)
    assert torch.equal(found.matches.moving_mm, believed.matches.moving_mm)


def test_points_are_found_in_a_turned_scan(scan: Volume) -> None:
    stage = AffineStage(orientation=SETTINGS, stride_vox=4, min_matches=20)
    pair = pair_of(scan, turned(scan, HALF_TURN))
    points_mm = grid_points(scan.grid, body=pair.fixed.body, stride_vox=12)
    coarse = CoarseStage(reuse=False, stride_vox=4, min_matches=20)
    answers = Query(affine=stage, coarse=coarse).run(pair, points_mm)
    right_mm = turning(scan.grid, HALF_TURN).apply(points_mm)
    assert torch.equal(answers.fixed_mm, points_mm)
    assert (answers.candidates_mm[:, 0] - right_mm).norm(dim=1).median() < 2.0


def test_a_header_that_is_to_be_believed_is_believed(scan: Volume) -> None:
    pair = pair_of(scan, turned(scan, MIRRORED))
    assert AffineStage(orientation=None).turns(pair) == Turns()


def test_a_turned_scan_is_a_warning(scan: Volume, caplog: pytest.LogCaptureFixture) -> None:
    AffineStage(orientation=SETTINGS).turns(pair_of(scan, turned(scan, HALF_TURN)))
    assert "stored turned: it was turned by 180 degrees about the z axis" in caplog.text


def test_scans_with_nothing_in_common_are_neither_turned_nor_called_mirrored(scan: Volume) -> None:
    turns = SETTINGS.run(pair_of(scan, texture((37, 41, 45), 2.0, seed=1)))
    assert (turns.fixed, turns.moving) == (AS_STORED, AS_STORED)


def test_a_body_too_small_for_points_leaves_everything_as_stored(scan: Volume) -> None:
    far_apart = replace(SETTINGS, stride_vox=16)
    assert far_apart.run(pair_of(scan, turned(scan, HALF_TURN))) == Turns(sides_checked=False)


VAL = (("lidc-0350", "lidc-0008"), ("covidctmd-normal002", "lidc-0350"))


@pytest.mark.data
@pytest.mark.skipif("SAMEREG_DATA" not in os.environ, reason="SAMEREG_DATA does not name the real scans")
@pytest.mark.parametrize("names", VAL, ids="-".join)
def test_real_scans_are_found_in_every_orientation(names: tuple[str, str]) -> None:
    embedder = load_embedder("compact")
    folder = Path(os.environ["SAMEREG_DATA"]) / "val"
    fixed, moving = (prepare_scan(read_volume(folder / f"{name}.nii.gz"), embedder) for name in names)
    for stored in every_orientation():
        other = (
            prepare_model(turned(moving.model, stored), embedder, volume=moving.volume)
            if stored != AS_STORED
            else moving
        )
        pair = Pair(fixed=fixed, moving=other, embedder=embedder)
        if stored.is_mirror:
            with pytest.raises(MirroredError):
                OrientationSearch().run(pair)
        else:
            turns = OrientationSearch().run(pair)
            assert torch.equal(turns.moving.matrix @ stored.matrix, turns.fixed.matrix)
            assert turns.sides_checked
