from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from samereg.errors import UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid
from samereg.ops.filters import gaussian_smooth
from samereg.training.aligned import AlignedPair, CropSettings, DeformScan, crop_batch
from samereg.training.augment import Appearance
from samereg.training.deform import DeformData, DeformTraining, PairSet, train_deform

PLAIN = Appearance(agent_probability=0.0, lung_probability=0.0, window_hu=0.0, noise_hu=0.0, blur_probability=0.0)
SMALL = DeformTraining(
    network="vm-unet",
    steps=6,
    warm_up=2,
    save_every=2,
    log_every=1,
    validate_every=3,
    validation_batches=1,
    crops=CropSettings(crop_vox=(48, 48, 48), pairs=1, appearance=PLAIN),
)
SHAPE = (60, 56, 52)


def shift(*mm: float) -> Affine:
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor(mm, dtype=torch.float64))


def scans(count=2):
    """The same blobs in every scan, each shifted by 4 mm more along x; embeddings are the blobs, smoothed."""
    made = []
    for number in range(count):
        noise = torch.randn(1, 5, *SHAPE, generator=torch.Generator().manual_seed(0))
        values = torch.roll(gaussian_smooth(noise, (2.5, 2.5, 2.5)), 2 * number, 4)
        features = torch.nn.functional.normalize(values[0], dim=0)[:, ::2, ::2, ::2]
        body = torch.zeros(SHAPE, dtype=torch.bool)
        body[4:-4, 4:-4, 6:-6] = True
        made.append(
            DeformScan(
                name=f"blobs-{number}",
                grid=axis_aligned_grid(SHAPE, (2.0, 2.0, 2.0)),
                intensity=(values[0, :1] / values.abs().max()).half(),
                body=body,
                features=features.half(),
            )
        )
    return made


def pair_set(start: Affine | None = None):
    identity = Affine.identity()
    return PairSet(scans=scans(), pairs=[AlignedPair(fixed=0, moving=1, start=start or identity)])


def fabric():
    made = Fabric(accelerator="cpu", devices=1)
    made.launch()
    return made


def weights(settings, run, **data):
    net = train_deform(DeformData(train=pair_set(), **data), settings, run, fabric=fabric())
    return torch.cat([p.flatten() for p in net.state_dict().values()])


def test_crops_of_aligned_scans_show_the_same():
    still = replace(SMALL.crops, jitter_mm=0.0)
    batch = crop_batch(pair_set().scans, pair_set(shift(4.0, 0.0, 0.0)).pairs, still, torch.Generator().manual_seed(1))
    inside = batch.mask > 0
    assert inside.float().mean() > 0.5
    # half precision, and a sample between two voxels whose positions round
    torch.testing.assert_close(batch.moved[inside], batch.fixed[inside], atol=2e-3, rtol=0)
    cells = inside[:, :, ::2, ::2, ::2].expand_as(batch.fixed_features)
    torch.testing.assert_close(batch.moved_features[cells], batch.fixed_features[cells], atol=2e-3, rtol=0)


def test_scans_smaller_than_a_crop_are_padded():
    wide = replace(SMALL.crops, crop_vox=(64, 64, 64))
    batch = crop_batch(pair_set().scans, pair_set().pairs, wide, torch.Generator().manual_seed(0))
    assert batch.fixed.shape == (1, 1, 64, 64, 64)
    assert batch.fixed_features.shape == (1, 5, 32, 32, 32)
    assert int((batch.fixed == -1).all(4).all(3).sum()) >= 4  # planes beyond the scan


def test_the_jitter_is_as_large_as_asked():
    still, moved = (
        crop_batch(pair_set().scans, pair_set().pairs, settings, torch.Generator().manual_seed(3))
        for settings in (replace(SMALL.crops, jitter_mm=0.0), SMALL.crops)
    )
    assert torch.equal(still.fixed, moved.fixed)
    assert not torch.equal(still.moved, moved.moved)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["vm", "sam-loss", "sam-corr", "sam-vm"])
def test_training_lowers_the_loss(tmp_path, variant):
    settings = replace(SMALL, variant=variant, steps=16, warm_up=2, crops=replace(SMALL.crops, jitter_mm=0.0))
    losses: list[float] = []
    data = DeformData(train=pair_set())
    train_deform(data, settings, tmp_path, fabric=fabric(), on_progress=lambda _s, _n, loss: losses.append(loss))
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.02


@pytest.mark.parametrize(
    "stop_after", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)]
)
def test_an_interrupted_training_resumes_to_the_bit(tmp_path, stop_after):
    whole = weights(SMALL, tmp_path / "whole", validation=pair_set())

    class StopError(Exception):
        pass

    def stop(step: int, _steps: int, _loss: float) -> None:
        if step == stop_after:
            raise StopError

    data = DeformData(train=pair_set(), validation=pair_set())
    with pytest.raises(StopError):
        train_deform(data, SMALL, tmp_path / "parts", fabric=fabric(), on_progress=stop)
    assert torch.equal(weights(SMALL, tmp_path / "parts", validation=pair_set()), whole)
    logged = [line.split(",") for line in (tmp_path / "parts" / "log.csv").read_text().splitlines()[1:]]
    assert [int(row[0]) for row in logged if row[1] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [int(row[0]) for row in logged if row[1] == "validation"] == [3, 6]


def test_fine_tuning_begins_with_the_given_weights(tmp_path):
    first = train_deform(DeformData(train=pair_set()), replace(SMALL, steps=2), tmp_path / "first", fabric=fabric())
    still = replace(SMALL, steps=1, learning_rate=0.0)
    kept = weights(still, tmp_path / "second", start=first)
    assert torch.equal(kept, torch.cat([p.flatten() for p in first.state_dict().values()]))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    weights(replace(SMALL, steps=1), tmp_path)
    with pytest.raises(UsageError, match="variant"):
        weights(replace(SMALL, steps=1, variant="vm"), tmp_path)


def test_training_without_pairs_is_refused(tmp_path):
    data = DeformData(train=PairSet(scans=scans(), pairs=[]))
    with pytest.raises(UsageError, match="at least one pair"):
        train_deform(data, SMALL, tmp_path, fabric=fabric())


@pytest.mark.parametrize("crop", [(32, 96, 96), (96, 97, 96)])
def test_crops_that_the_networks_cannot_take_are_refused(crop):
    with pytest.raises(UsageError, match="even number"):
        CropSettings(crop_vox=crop)
