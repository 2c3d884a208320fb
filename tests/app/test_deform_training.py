"""Scans aligned once and kept, and training from files with the training itself replaced."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from samereg.app import alignment, deform_training
from samereg.app.alignment import align_pairs, pair_set, prepare_scans
from samereg.app.deform_training import DeformSources, ordered_pairs, train_deform_from_files
from samereg.app.settings import TrainingMachineSettings
from samereg.errors import NoOverlapError, TransformError, UsageError
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, chain_all
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.spline import Spline
from samereg.geometry.velocity import Velocity
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.matching.embed import NetEmbedder, load_embedder
from samereg.nets.build import build_deform
from samereg.pipeline.pair import Pair
from samereg.pipeline.stage import StageResult
from samereg.training.deform import DeformTraining
from samereg.weights.deform import read_deform_weights

ON_CPU = TrainingMachineSettings(device="cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """A stage that shifts and bends by known amounts, and counts how often it was asked."""

    x_mm: float = 3.0
    fails: bool = False
    _calls: list[int] = field(default_factory=list)  # underscored: no setting

    @property
    def name(self) -> str:
        return "shift"

    def run(self, pair: Pair, before: StageResult) -> StageResult:  # noqa: ARG002
        self._calls.append(1)
        if self.fails:
            raise NoOverlapError("nothing in common")
        translation = torch.tensor([self.x_mm, 0.0, 0.0], dtype=torch.float64)
        bend = Displacement(grid=axis_aligned_grid((3, 4, 5), (90.0, 90.0, 90.0)), data=torch.rand(3, 3, 4, 5))
        moved = chain(bend, Affine.from_parts(torch.eye(3, dtype=torch.float64), translation))
        return StageResult(transform=moved, matches=None, outcome=Outcome(converged=True, message="", iterations=1))


@pytest.fixture
def paths(small_ct: Volume, tmp_path: Path) -> list[Path]:
    found = []
    for number in range(2):
        shifted = Volume(data=small_ct.data + 5.0 * number, grid=small_ct.grid)
        found.append(tmp_path / "scans" / f"scan-{number}.nii.gz")
        write_volume(shifted, found[-1])
    return found


@pytest.fixture(scope="module")
def embedder() -> NetEmbedder:
    return load_embedder()


def test_scans_are_embedded_once(
    paths: list[Path], embedder: NetEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_scans(paths, embedder, tmp_path / "cache")
    monkeypatch.setattr(NetEmbedder, "embed", lambda *_: pytest.fail("embedded again"))
    second = prepare_scans(paths, embedder, tmp_path / "cache")
    for before, after in zip(first, second, strict=True):
        assert before.prepared.embedded.local.dtype == after.prepared.embedded.local.dtype == embedder.dtype
        assert torch.equal(before.prepared.embedded.local, after.prepared.embedded.local)
        assert torch.equal(before.prepared.embedded.global_, after.prepared.embedded.global_)
        assert torch.equal(before.prepared.places.embeddings, after.prepared.places.embeddings)


def test_pairs_are_aligned_once_and_come_back_as_they_were(
    paths: list[Path], embedder: NetEmbedder, tmp_path: Path
) -> None:
    scans = prepare_scans(paths, embedder, tmp_path)
    stage = Shift()
    first = align_pairs(scans, [(0, 1), (1, 0)], embedder, (stage,), cache=tmp_path)
    second = align_pairs(scans, [(0, 1), (1, 0)], embedder, (stage,), cache=tmp_path)
    assert len(stage._calls) == 2
    points = 100 * torch.rand(50, 3, dtype=torch.float64)
    for before, after in zip(first, second, strict=True):
        assert (before.fixed, before.moving) == (after.fixed, after.moving)
        assert torch.equal(before.start.apply(points), after.start.apply(points))


def test_other_settings_are_aligned_anew(paths: list[Path], embedder: NetEmbedder, tmp_path: Path) -> None:
    scans = prepare_scans(paths, embedder, tmp_path)
    for stage in (Shift(x_mm=1.0), Shift(x_mm=2.0)):
        (pair,) = align_pairs(scans, [(0, 1)], embedder, (stage,), cache=tmp_path)
        origin = torch.zeros(1, 3, dtype=torch.float64)
        assert float(pair.start.apply(origin)[0, 0]) == pytest.approx(stage.x_mm, abs=1.0)
        assert stage._calls == [1]


def test_pairs_without_common_anatomy_are_left_out_and_not_tried_again(
    paths: list[Path], embedder: NetEmbedder, tmp_path: Path
) -> None:
    scans = prepare_scans(paths, embedder, tmp_path)
    stage = Shift(fails=True)
    for _ in range(2):
        assert align_pairs(scans, [(0, 1)], embedder, (stage,), cache=tmp_path) == []
    assert stage._calls == [1]


def test_features_of_a_set_stand_at_every_second_voxel(
    paths: list[Path], embedder: NetEmbedder, tmp_path: Path
) -> None:
    found = pair_set(prepare_scans(paths, embedder, tmp_path), [])
    for scan in found.scans:
        assert scan.features.shape[1:] == tuple(-(-n // 2) for n in scan.grid.shape)


def test_ordered_pairs_are_all_or_a_fixed_random_part() -> None:
    assert len(ordered_pairs(5, 0, seed=0)) == len(set(ordered_pairs(5, 0, seed=0))) == 20
    few = ordered_pairs(5, 7, seed=1)
    assert few == ordered_pairs(5, 7, seed=1)
    assert len(set(few)) == 7
    assert all(first != second for first, second in few)
    assert few[:4] == ordered_pairs(5, 4, seed=1)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    told: dict[str, object] = {}

    def train(data: object, settings: DeformTraining, run: Path, **_: object) -> torch.nn.Module:
        told["data"] = data
        run.mkdir(exist_ok=True)
        return build_deform(settings.network, correlation=settings.correlation)

    monkeypatch.setattr(deform_training, "train_deform", train)
    monkeypatch.setattr(deform_training, "fast", lambda: (Shift(),))
    return told


def test_weights_and_card_are_written(paths: list[Path], trained: dict[str, object], tmp_path: Path) -> None:
    sources = DeformSources(data=paths[0].parent, validation=paths[0].parent, cache=tmp_path / "cache")
    settings = DeformTraining(network="vm-unet", steps=3)
    found = train_deform_from_files(sources, tmp_path / "run", settings=settings, machine=ON_CPU)
    assert (found.scans, found.pairs, found.steps) == (2, 2, 3)
    header = read_deform_weights(str(found.weights)).header
    assert (header.network, header.correlation, header.form) == ("vm-unet", True, "velocity")
    assert header.embedding == load_embedder().record.checksum
    card = (tmp_path / "run" / "deform.md").read_text()
    for words in ("scan-1.nii.gz", "2 ordered pairs", "stages shift", header.embedding):
        assert words in card
    assert trained["data"].validation is not None  # type: ignore[attr-defined]


def test_first_weights_of_another_kind_are_refused(
    paths: list[Path], trained: dict[str, object], tmp_path: Path
) -> None:
    del trained
    sources = DeformSources(data=paths[0].parent, cache=tmp_path / "cache")
    settings = DeformTraining(network="vm-unet", variant="vm", steps=3)
    found = train_deform_from_files(sources, tmp_path / "run", settings=settings, machine=ON_CPU)
    other = DeformSources(data=paths[0].parent, start=str(found.weights), cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="without correlation"):
        train_deform_from_files(
            other, tmp_path / "next", settings=DeformTraining(network="vm-unet", steps=3), machine=ON_CPU
        )


def test_scans_that_share_nothing_are_refused(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deform_training, "fast", lambda: (Shift(fails=True),))
    with pytest.raises(UsageError, match="none of 2 pairs"):
        train_deform_from_files(
            DeformSources(data=paths[0].parent), tmp_path / "run", settings=DeformTraining(), machine=ON_CPU
        )


def test_the_cache_lies_beside_the_run_unless_told(
    paths: list[Path], trained: dict[str, object], tmp_path: Path
) -> None:
    del trained
    settings = DeformTraining(network="vm-unet", steps=3)
    train_deform_from_files(DeformSources(data=paths[0].parent), tmp_path / "run", settings=settings, machine=ON_CPU)
    assert any((tmp_path / "run-cache").glob("alignment-*.safetensors"))


def test_every_part_of_an_alignment_comes_back_from_its_record() -> None:
    grid = axis_aligned_grid((6, 5, 4), (20.0, 20.0, 20.0))
    field = torch.rand(3, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    whole = chain_all(
        [
            Velocity(grid=grid, data=field),
            Affine.from_parts(1.1 * torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)),
            Spline(grid=grid, data=5 * field.double()),
            Displacement(grid=grid, data=-field),
        ]
    )
    points = 60 * torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = alignment._transform_of(alignment._record_of(whole))
    assert found is not None
    assert torch.equal(found.apply(points), whole.apply(points))


def test_a_part_that_no_record_can_hold_is_refused() -> None:
    class Mirror:
        def apply(self, points_mm: torch.Tensor) -> torch.Tensor:
            return -points_mm

        def inverse(self) -> "Mirror":
            return self

    with pytest.raises(TransformError, match="cannot keep a Mirror"):
        alignment._record_of(Mirror())
