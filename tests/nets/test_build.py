import pytest
import torch

from samereg.errors import UsageError
from samereg.nets.build import DIMENSIONS, build_embedding
from samereg.nets.embedding import channels_last, rows_of, shape_of
from samereg.weights.registry import write_weights

SIZE = (33, 40, 50)


@pytest.mark.parametrize(("name", "strides"), [("compact", (2, 8)), ("resnet18", (2, 16))])
def test_feature_maps_have_the_named_strides(name, strides):
    net = build_embedding(name).eval()
    assert net.strides == strides
    with torch.inference_mode():
        features = net(channels_last(torch.zeros(1, 1, *SIZE), torch.float32))
    assert shape_of(features.local[0]) == tuple(-(-n // strides[0]) for n in SIZE)
    assert shape_of(features.global_[0]) == tuple(-(-n // strides[1]) for n in SIZE)


def test_embeddings_have_unit_length_and_the_papers_dimensions():
    net = build_embedding("compact").eval()
    with torch.inference_mode():
        features = net(channels_last(torch.randn(1, 1, 32, 32, 32), torch.float32))
        local = net.project_local(rows_of(features.local[0]))
        global_ = net.project_global(rows_of(features.global_[0]))
    assert local.shape[1] == global_.shape[1] == DIMENSIONS == 128
    assert torch.allclose(local.norm(dim=1), torch.ones(len(local)), atol=1e-5)
    assert torch.allclose(global_.norm(dim=1), torch.ones(len(global_)), atol=1e-5)


def test_rows_of_a_channels_last_map_are_a_view():
    features = channels_last(torch.randn(1, 8, 4, 5, 6), torch.float32)[0]
    assert rows_of(features).data_ptr() == features.data_ptr()


def test_shipped_size_fits_in_twelve_megabytes(tmp_path):
    write_weights(build_embedding("compact"), tmp_path / "w.safetensors", network="compact", header={})
    assert (tmp_path / "w.safetensors").stat().st_size <= 12_000_000


def test_unknown_networks_are_refused_by_name():
    with pytest.raises(UsageError, match=r"'unet'.*compact"):
        build_embedding("unet")
