"""One finished registration for all tests of the report; tests that change it make a copy."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from report.made import Made, make_registration
from samereg.geometry.volume import LabelMap, Volume


@pytest.fixture(scope="session")
def made(small_ct: Volume, small_labels: LabelMap, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_registration(tmp_path_factory.mktemp("made"), small_ct, small_labels)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """The same with a folder of its own."""
    return replace(made, folder=Path(shutil.copytree(made.folder, tmp_path / "out")))
