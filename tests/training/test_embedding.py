from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from samereg.errors import UsageError
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.ops.filters import gaussian_smooth
from samereg.training.batches import BatchSettings, CrossPair, cross_batch, local_batch, whole_batch
from samereg.training.embedding import train_embedding
from samereg.training.scans import TrainingScan
from samereg.training.settings import EmbeddingTraining

SMALL = EmbeddingTraining(
    steps=4,
    warm_up=2,
    save_every=2,
    log_every=1,
    cross_from=100,
    batch=BatchSettings(crop_vox=(48, 48, 48), whole_vox=(56, 48, 48), pairs=2, anchors=24, pool=200),
)


QUICK = replace(SMALL, steps=3, batch=replace(SMALL.batch, pairs=1, whole_vox=(48, 48, 48)))


def scans(count: int = 2) -> list[TrainingScan]:
    """Blobs: enough structure to be told apart, made in no time."""
    found = []
    for seed in range(count):
        noise = torch.randn(1, 1, 64, 60, 56, generator=torch.Generator().manual_seed(seed))
        values = gaussian_smooth(noise, (2.0, 2.0, 2.0))[0]
        grid = axis_aligned_grid((64, 60, 56), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
        volume = Volume(data=(values / values.abs().max()).half(), grid=grid, background=-1.0)
        body = torch.zeros(64, 60, 56, dtype=torch.bool)
        body[4:-4, 4:-4, 4:-4] = True
        found.append(TrainingScan(name=f"blobs-{seed}", volume=volume, body=body))
    return found


def fabric() -> Fabric:
    made = Fabric(accelerator="cpu", devices=1)
    made.launch()
    return made


def weights(settings: EmbeddingTraining, run) -> torch.Tensor:
    net = train_embedding(scans(), settings, run, fabric=fabric())
    return torch.cat([p.flatten() for p in net.state_dict().values()])


@pytest.mark.parametrize("make", [local_batch, whole_batch])
def test_anchors_of_a_pair_show_the_same_anatomy(make):
    plain = replace(
        SMALL.batch,
        appearance=replace(
            SMALL.batch.appearance,
            agent_probability=0.0,
            lung_probability=0.0,
            blur_probability=0.0,
            window_hu=0.0,
            noise_hu=0.0,
        ),
    )
    batch = make(scans(), plain, torch.Generator().manual_seed(0))
    pairs = len(batch.images) // 2
    for pair in range(pairs):
        values = []
        for side in (pair, pair + pairs):
            d, h, w = batch.anchors[side].round().long().T
            values.append(batch.images[side, 0, d, h, w])
        # rounding to voxels moves a point by up to 0.9 voxels in texture of 2 voxels
        assert torch.corrcoef(torch.stack(values))[0, 1] > 0.7


def test_cross_batches_use_the_given_points():
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)) * 20 + 10
    cross = CrossPair(first=0, second=1, first_vox=points, second_vox=points + 1)
    batch = cross_batch(scans(), [cross], SMALL.batch, torch.Generator().manual_seed(0))
    assert not batch.precise
    assert batch.anchors.shape == (2, 24, 3)


@pytest.mark.slow
def test_training_lowers_the_loss(tmp_path):
    settings = replace(SMALL, steps=24, warm_up=4, decay=0.1)
    losses: list[float] = []
    train_embedding(
        scans(),
        settings,
        tmp_path,
        fabric=fabric(),
        on_progress=lambda _step, _steps, loss: losses.append(loss),
    )
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_an_interrupted_training_resumes_to_the_bit(tmp_path):
    whole = weights(QUICK, tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(step: int, _steps: int, _loss: float) -> None:
        if step == 3:  # one step after the checkpoint at 2: that step is done again
            raise StopError

    with pytest.raises(StopError):
        train_embedding(scans(), QUICK, tmp_path / "parts", fabric=fabric(), on_progress=stop)
    assert torch.equal(weights(QUICK, tmp_path / "parts"), whole)
    logged = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in logged[1:]] == [1, 2, 3]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    weights(replace(QUICK, steps=1), tmp_path)
    with pytest.raises(UsageError, match="seed"):
        weights(replace(QUICK, steps=1, seed=1), tmp_path)


def test_views_too_small_for_the_network_are_refused():
    with pytest.raises(UsageError, match="at least 48 voxels"):
        BatchSettings(crop_vox=(96, 32, 96))


def test_training_without_scans_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least one scan"):
        train_embedding([], SMALL, tmp_path, fabric=fabric())
