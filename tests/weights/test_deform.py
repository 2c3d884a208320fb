import pytest
import torch

from samereg.errors import WeightsError
from samereg.nets.build import build_deform, build_embedding
from samereg.weights.deform import SHIPPED, DeformHeader, read_deform_weights, write_deform_weights
from samereg.weights.files import shipped_path
from samereg.weights.registry import SHIPPED as EMBEDDINGS
from samereg.weights.registry import write_weights

HEADER = DeformHeader(network="vm-unet", correlation=True, form="velocity", embedding="e" * 64)


def test_every_shipped_file_has_its_checksum_and_is_small_enough():
    assert "sam-vm" in SHIPPED
    for name in SHIPPED:
        found = read_deform_weights(name)
        assert found.checksum == SHIPPED[name]
        assert found.header.embedding in EMBEDDINGS.values()
        assert shipped_path(name).stat().st_size <= 8_000_000


@pytest.mark.parametrize("correlation", [True, False])
def test_weights_come_back_in_half_precision(tmp_path, correlation):
    torch.manual_seed(0)
    net = build_deform("vm-unet", correlation=correlation)
    header = DeformHeader(network="vm-unet", correlation=correlation, form="displacement", embedding="e" * 64)
    write_deform_weights(net, tmp_path / "w.safetensors", header=header, notes={"settings": "{}"})
    found = read_deform_weights(str(tmp_path / "w.safetensors"))
    assert found.header == header
    for kept, value in zip(found.net.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(kept, value.half().float())


def test_weights_of_an_embedding_are_refused(tmp_path):
    write_weights(build_embedding("compact"), tmp_path / "e.safetensors", network="compact", header={})
    with pytest.raises(WeightsError, match="made for the network 'compact'"):
        read_deform_weights(str(tmp_path / "e.safetensors"))


def test_weights_that_do_not_fit_their_header_are_refused(tmp_path):
    net = build_deform("vm-unet", correlation=False)
    write_deform_weights(net, tmp_path / "w.safetensors", header=HEADER, notes={})
    with pytest.raises(WeightsError, match="does not fit"):
        read_deform_weights(str(tmp_path / "w.safetensors"))
