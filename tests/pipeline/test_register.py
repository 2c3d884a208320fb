"""The whole computation on the phantom, with the shipped embedding."""

from dataclasses import dataclass, field

import pytest
import torch

from known_maps import bent_and_turned, error_mm
from remembering import RememberingEmbedder
from samereg.errors import NoOverlapError
from samereg.estimate.deform import load_deformer
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.matching.embed import EmbeddedVolume, Embedder, EmbedderRecord, load_embedder
from samereg.phantom.subject import default_grid, make_subject
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.pair import Pair, PreparedScan, prepare_scan
from samereg.pipeline.recipes import affine_only, fast, named_recipe, same, same_plus
from samereg.pipeline.register import register
from samereg.pipeline.stage import Stage, StageResult, beginning

MIDDLE = axis_aligned_grid((96, 112, 128), (2.0, 2.0, 2.0), (-127.0, -111.0, -95.0))
"""The middle of the phantom's chest: enough to register, and quick."""
INNER_MM = voxel_centres_mm(MIDDLE)[20:80:8, 20:92:8, 24:104:8].flatten(0, 2)
SLOW = [pytest.param(recipe, marks=pytest.mark.slow) for recipe in ("same", "same++")]
every_recipe = pytest.mark.parametrize("stages", ["fast", *SLOW], indirect=True)


@pytest.fixture
def stages(request: pytest.FixtureRequest) -> tuple[Stage, ...]:
    if request.param == "fast":
        return fast()
    return (same if request.param == "same" else same_plus)(load_deformer("sam-vm"))


@pytest.fixture(scope="module")
def embedder() -> RememberingEmbedder:
    return RememberingEmbedder(other=load_embedder("compact"))


@pytest.fixture(scope="module")
def scan() -> Volume:
    return make_subject(0, grid=MIDDLE).volumes["NC"]


@pytest.fixture(scope="module")
def prepared(embedder: RememberingEmbedder, scan: Volume) -> PreparedScan:
    return prepare_scan(scan, embedder)


@pytest.fixture(scope="module")
def aligned(embedder: RememberingEmbedder, prepared: PreparedScan) -> StageResult:
    return AffineStage().run(Pair(fixed=prepared, moving=prepared, embedder=embedder), beginning())


@pytest.mark.slow
@every_recipe
def test_a_scan_is_registered_to_itself_to_half_a_millimetre(embedder, scan, stages):
    assert error_mm(scan, None, embedder, stages).median() < 0.5


@every_recipe
def test_a_known_map_with_other_contrast_is_found(embedder, scan, stages):
    # the coarse part alone is held to four millimetres; the fine ones have to be better than that
    limit_mm = 4.0 if len(stages) == 2 else 3.0
    assert error_mm(scan, bent_and_turned(scan.grid), embedder, stages).median() < limit_mm


@every_recipe
def test_two_subjects_are_mapped_without_folds_and_invertibly(embedder, scan, stages):
    other = make_subject(1, grid=MIDDLE).volumes["CE"]
    found = register(scan, other, stages=stages, embedder=embedder)
    assert found.quality.folded_fraction == 0
    assert found.quality.inverse_consistency_mm < 0.5
    assert found.quality.overlap_fraction > 0.7
    assert [report.name for report in found.stages] == ["prepare", *(stage.name for stage in stages), "inverse"]
    assert len(found.matches) > 1000


def test_rigid_and_similarity_keep_shape(embedder, prepared):
    pair = Pair(fixed=prepared, moving=prepared, embedder=embedder)
    for model, free_scale in (("rigid", False), ("similarity", True)):
        (stage,) = affine_only(affine_model=model)
        found = stage.run(pair, beginning())
        linear = found.transform.apply(torch.eye(3, dtype=torch.float64)) - found.transform.apply(
            torch.zeros(3, 3, dtype=torch.float64)
        )
        gram = linear @ linear.T
        scale = gram.diagonal().mean() if free_scale else 1.0
        assert torch.allclose(gram, scale * torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_a_coarse_stage_that_begins_beside_the_scan_says_so(embedder, prepared):
    shift = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.full((3,), 5000.0, dtype=torch.float64))
    with pytest.raises(NoOverlapError, match="need an affine alignment first"):
        CoarseStage().run(Pair(fixed=prepared, moving=prepared, embedder=embedder), beginning(shift))


@dataclass(frozen=True, kw_only=True, slots=True)
class CountingEmbedder:
    """Embeds as another does, and counts how often."""

    other: Embedder
    volumes: list[Volume] = field(default_factory=list)

    @property
    def record(self) -> EmbedderRecord:
        return self.other.record

    def embed(self, volume: Volume) -> EmbeddedVolume:
        self.volumes.append(volume)
        return self.other.embed(volume)

    def restore(self, grid: Grid, local: torch.Tensor, global_: torch.Tensor) -> EmbeddedVolume:
        return self.other.restore(grid, local, global_)


@pytest.mark.parametrize(
    ("coarse", "with_matches", "embeddings"),
    [
        pytest.param(CoarseStage(), True, 1, id="the first round takes the matches of the affine stage"),
        pytest.param(CoarseStage(), False, 2, id="without any it finds its own"),
        pytest.param(CoarseStage(reuse=False), True, 2, id="or when told to", marks=pytest.mark.slow),
        pytest.param(CoarseStage(rounds=1), True, 1, id="the paper's one round moves the scan", marks=pytest.mark.slow),
    ],
)
def test_coarse_embeds_the_moved_scan_as_often_as_it_needs(
    embedder, prepared, aligned, coarse, with_matches, embeddings
):
    counting = CountingEmbedder(other=embedder)
    pair = Pair(fixed=prepared, moving=prepared, embedder=counting)
    found = coarse.run(pair, aligned if with_matches else beginning(aligned.transform))
    assert len(counting.volumes) == embeddings
    assert (found.transform.apply(INNER_MM) - INNER_MM).norm(dim=-1).median() < 0.5


@pytest.mark.slow
def test_scans_without_common_anatomy_are_refused(embedder):
    """A block of water has a body but nothing to recognise."""
    scan = make_subject(0, grid=default_grid()).volumes["NC"]
    block = torch.full((1, 96, 96, 96), -1000.0)
    block[:, 16:-16, 16:-16, 16:-16] = 0.0
    water = Volume(data=block, grid=axis_aligned_grid((96, 96, 96), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0)))
    with pytest.raises(NoOverlapError):
        register(scan, water, stages=fast(), embedder=embedder)


@pytest.mark.slow
def test_coarse_alone_finds_a_scan_that_lies_elsewhere_in_the_world(embedder, scan):
    shift_mm = torch.tensor([700.0, -400.0, 1200.0], dtype=torch.float64)
    affine = scan.grid.affine.clone()
    affine[:3, 3] += shift_mm
    elsewhere = Volume(data=scan.data, grid=Grid(shape=scan.grid.shape, affine=affine))
    found = register(scan, elsewhere, stages=named_recipe("SC", {}), embedder=embedder)
    assert (found.transform.apply(INNER_MM) - INNER_MM - shift_mm).norm(dim=-1).median() < 0.5
