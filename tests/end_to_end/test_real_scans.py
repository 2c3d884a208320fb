"""The same known maps on real scans: `SAMEREG_DATA=DIR python -m pytest -m data`."""

import os
from pathlib import Path

import pytest

from known_maps import bent_and_turned, error_mm
from samereg.estimate.deform import load_deformer
from samereg.io.images import read_volume
from samereg.matching.embed import load_embedder
from samereg.pipeline.recipes import fast, same_plus

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("SAMEREG_DATA" not in os.environ, reason="SAMEREG_DATA does not name the real scans"),
]

SCANS = ("lidc-0001", "lidc-0009", "lidc-0314", "lung1-002")


@pytest.mark.parametrize("name", SCANS)
def test_known_maps_are_found(name):
    scan = read_volume(Path(os.environ["SAMEREG_DATA"]) / "test" / f"{name}.nii.gz")
    embedder = load_embedder("compact")
    for stages in (fast(), same_plus(load_deformer("sam-vm"))):
        assert error_mm(scan, None, embedder, stages).median() < 0.5
        assert error_mm(scan, bent_and_turned(scan.grid), embedder, stages).median() < 4.0
