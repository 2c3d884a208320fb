import pytest
import torch

from samereg.errors import WeightsError
from samereg.nets.build import build_embedding
from samereg.weights.files import shipped_path
from samereg.weights.registry import SHIPPED, read_weights, write_weights


def test_every_shipped_file_has_its_checksum_and_is_small_enough():
    for name in SHIPPED:
        assert read_weights(name).checksum == SHIPPED[name]
        assert shipped_path(name).stat().st_size <= 12_000_000


def test_weights_come_back_in_half_precision(tmp_path):
    torch.manual_seed(0)
    net = build_embedding("compact")
    write_weights(net, tmp_path / "w.safetensors", network="compact", header={"steps": "5"})
    found = read_weights(str(tmp_path / "w.safetensors"))
    assert found.network == "compact"
    for kept, value in zip(found.net.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(kept, value.half().float())


def test_missing_weights_are_refused_by_name():
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        read_weights("nowhere.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not weights at all"])
def test_damaged_weights_are_refused(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="broken"):
        read_weights(str(path))


def test_weights_of_another_network_are_refused(tmp_path):
    write_weights(build_embedding("compact"), tmp_path / "w.safetensors", network="resnet18", header={})
    with pytest.raises(WeightsError, match="does not fit"):
        read_weights(str(tmp_path / "w.safetensors"))
    write_weights(build_embedding("compact"), tmp_path / "v.safetensors", network="unknown", header={})
    with pytest.raises(WeightsError, match="unknown"):
        read_weights(str(tmp_path / "v.safetensors"))


def test_a_changed_shipped_file_is_noticed(monkeypatch):
    monkeypatch.setitem(SHIPPED, "compact", "f" * 64)
    with pytest.raises(WeightsError, match="damaged"):
        read_weights("compact")
