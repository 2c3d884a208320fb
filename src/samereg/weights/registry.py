"""Trained embeddings on disk: safetensors with the network's name in the header, shipped ones with a checksum."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from samereg.errors import WeightsError
from samereg.io.atomic import atomic_file
from samereg.nets.build import NETWORKS, build_embedding
from samereg.nets.embedding import EmbeddingNet

SHIPPED: dict[str, str] = {
    "compact": "588af3bc8e2dd61ac208fa10501aecafe54f752afb4c502666b900b5ea2b2d37",
}
"""SHA-256 of each file `weights/NAME.safetensors` of this package."""

READABLE = 0o644
"""safetensors writes files that only their owner may read."""

NETWORK_KEY = "network"
"""Header entry that names the network of `nets/build.py`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """A network with its trained weights.

    Attributes:
        name: as asked for: a shipped name or a path.
        checksum: SHA-256 of the file.
        network: name of the architecture.
        net: single precision, on the CPU, in evaluation mode.
    """

    name: str
    checksum: str
    network: str
    net: EmbeddingNet


def read_weights(name: str) -> Weights:
    """A shipped embedding by name, or one that was trained with `samereg train embedding` by path.

    Raises:
        WeightsError: no such file, a damaged one, or weights of another network.
    """
    path = shipped_path(name) if name in SHIPPED else Path(name)
    if not path.is_file():
        known = ", ".join(SHIPPED)
        raise WeightsError(f"{name}: no such weights; need one of {known}, or the path of a .safetensors file")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if name in SHIPPED and checksum != SHIPPED[name]:
        raise WeightsError(f"{path}: damaged, its checksum is {checksum[:12]}..., need {SHIPPED[name][:12]}...")
    tensors, header = _read(path)
    network = header.get(NETWORK_KEY, "")
    if network not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise WeightsError(f"{path}: made for the network '{network}', need one of {known} in its header")
    net = build_embedding(network)
    try:
        net.load_state_dict({key: value.float() for key, value in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path}: does not fit the network '{network}': {error}") from error
    return Weights(name=name, checksum=checksum, network=network, net=net.eval())


def write_weights(net: EmbeddingNet, path: Path, *, network: str, header: Mapping[str, str]) -> None:
    """Keep a trained network in half precision; `read_weights` reads it back.

    Args:
        net: trained, not folded.
        path: file to write, replaced whole.
        network: name of its architecture.
        header: further entries, as the recipe it was trained with.
    """
    tensors = {key: _halved(value) for key, value in net.state_dict().items()}
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata={**header, NETWORK_KEY: network})
        temporary.chmod(READABLE)


def shipped_path(name: str) -> Path:
    """Where a shipped file lies."""
    return Path(str(resources.files("samereg.weights") / f"{name}.safetensors"))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            return {key: file.get_tensor(key) for key in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error


def _halved(value: Tensor) -> Tensor:
    kept = value.detach().cpu().contiguous()
    return kept.to(torch.float16) if kept.is_floating_point() else kept
