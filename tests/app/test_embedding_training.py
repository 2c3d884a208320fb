"""Training from files, with the training itself replaced."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from samereg.app import embedding_training
from samereg.app.embedding_training import launch, model_card, read_training_scans, train_from_files
from samereg.app.settings import TrainingMachineSettings
from samereg.errors import NotCTError, UsageError
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.nets.build import build_embedding
from samereg.nets.embedding import EmbeddingNet
from samereg.training.settings import EmbeddingTraining
from samereg.weights.registry import read_weights

ON_CPU = TrainingMachineSettings(device="cpu")


@pytest.fixture
def scans(small_ct: Volume, tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.nii.gz", "b.mha"):
        write_volume(small_ct, folder / name)
    return folder


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> EmbeddingNet:
    made = build_embedding("compact")

    def train(_scans: object, _settings: object, run: Path, **_: object) -> EmbeddingNet:
        run.mkdir(exist_ok=True)
        return made

    monkeypatch.setattr(embedding_training, "train_embedding", train)
    return made


def test_scans_are_prepared_one_by_one(scans: Path) -> None:
    told: list[tuple[str, int, int]] = []
    paths = sorted(scans.iterdir())
    found = read_training_scans(paths, on_progress=lambda *told_now: told.append(told_now))
    assert [scan.name for scan in found] == ["a.nii.gz", "b.mha"]
    assert [told_now[1:] for told_now in told] == [(1, 2), (2, 2)]


def test_weights_and_card_are_written(scans: Path, net: EmbeddingNet, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = train_from_files(scans, run, settings=EmbeddingTraining(steps=3), machine=ON_CPU)
    assert (trained.scans, trained.steps) == (2, 3)
    read = read_weights(str(trained.weights))
    expected = net.state_dict()
    for name, value in read.net.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-3), name  # kept in half precision
    assert "b.mha" in (run / "embedding.md").read_text()


def test_the_card_says_data_steps_and_seed() -> None:
    card = model_card(EmbeddingTraining(steps=123, seed=45), [Path("x/scan-7.nii.gz")])
    for words in ("steps: 123", "seed: 45", "`scan-7.nii.gz`", "Network `compact`"):
        assert words in card


@pytest.mark.usefixtures("net")
def test_a_scan_that_is_no_ct_is_refused_by_name(scans: Path, small_ct: Volume, tmp_path: Path) -> None:
    write_volume(replace(small_ct, data=small_ct.data.clamp(min=0)), scans / "c.nii.gz")
    with pytest.raises(NotCTError, match=r"c\.nii\.gz"):
        train_from_files(scans, tmp_path / "run", settings=EmbeddingTraining(), machine=ON_CPU)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_origin_is_refused(scans: Path) -> None:
    with pytest.raises(UsageError, match="no training run"):
        train_from_files(scans, scans, settings=EmbeddingTraining(), machine=ON_CPU)


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_cpu_is_one_device(gpus: int) -> None:
    with pytest.raises(UsageError, match="need 1 to 1"):
        launch(torch.device("cpu"), gpus=gpus)
