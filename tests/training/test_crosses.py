"""Cross pairs, where there is hardly anything to pair."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from samereg.nets.build import build_embedding
from samereg.training.crosses import find_crosses
from samereg.training.embedding import train_embedding
from training.test_embedding import SMALL, fabric, scans


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_scans_have_no_crosses(count: int) -> None:
    found = find_crosses(
        build_embedding(SMALL.network),
        scans(count),
        count=5,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    assert found == []


def test_a_training_on_one_scan_goes_on_past_the_step_at_which_crosses_begin(tmp_path: Path) -> None:
    steps: list[int] = []
    train_embedding(
        scans(1),
        replace(SMALL, steps=3, cross_from=1, cross_every=1),
        tmp_path,
        fabric=fabric(),
        on_progress=lambda step, _steps, _loss: steps.append(step),
    )
    assert steps == [1, 2, 3]
