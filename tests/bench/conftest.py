from pathlib import Path

import pytest

from bench.small_dataset import write_dataset
from samereg.bench.dataset import Dataset
from samereg.bench.read_manifest import read_manifest
from samereg.geometry.volume import LabelMap, Volume


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory, small_ct: Volume, small_labels: LabelMap) -> Path:
    return write_dataset(tmp_path_factory.mktemp("bench") / "bodies", small_ct, small_labels)


@pytest.fixture(scope="session")
def small_dataset(small_folder: Path) -> Dataset:
    return read_manifest(small_folder)
