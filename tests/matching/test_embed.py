from dataclasses import replace

import pytest
import torch

from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.image.preprocess import to_model_space
from samereg.matching.embed import NetEmbedder, load_embedder
from samereg.matching.points import grid_points
from samereg.phantom.subject import make_subject

PART = axis_aligned_grid((56, 64, 80), (2.0, 2.0, 2.0), (-79.0, -63.0, -55.0))
"""The middle of the phantom's chest."""


@pytest.fixture(scope="module")
def embedder() -> NetEmbedder:
    return load_embedder()


@pytest.fixture(scope="module")
def model() -> Volume:
    return to_model_space(make_subject(3, grid=PART).volumes["CE"])


def test_joint_embeddings_have_unit_length(embedder, model):
    joint = embedder.embed(model).at(grid_points(PART)).float()
    # bfloat16 keeps eight bits of each of 256 entries
    assert torch.allclose(joint.norm(dim=1), torch.ones(len(joint)), atol=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_lower_precision_stays_near_single_precision(embedder, model, dtype):
    """A cosine of 0.98 is far above what two subjects' same places share, about 0.8."""
    exact = replace(embedder, dtype=torch.float32).embed(model).at(grid_points(PART)).float()
    rounded = replace(embedder, dtype=dtype).embed(model).at(grid_points(PART)).float()
    cosine = torch.nn.functional.cosine_similarity(exact, rounded)
    assert cosine.median() > 0.995
    assert cosine.quantile(0.01) > 0.98


def test_embedding_twice_gives_the_same_bits(embedder, model):
    first, second = embedder.embed(model), embedder.embed(model)
    assert torch.equal(first.local, second.local)
    assert torch.equal(first.global_, second.global_)
