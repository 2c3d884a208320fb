"""Weights of embeddings: shipped ones by name, others by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import WeightsError
from samereg.nets.build import NETWORKS, build_embedding
from samereg.nets.embedding import EmbeddingNet
from samereg.weights.files import read_stored, write_stored

SHIPPED: dict[str, str] = {
    "compact": "588af3bc8e2dd61ac208fa10501aecafe54f752afb4c502666b900b5ea2b2d37",
}
"""SHA-256 of each file `weights/NAME.safetensors` of this package."""

NETWORK_KEY = "network"
"""Header entry that names the network of `nets/build.py`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """A network with its trained weights.

    Attributes:
        name: as requested: a shipped name or a path.
        checksum: SHA-256 of the file.
        network: name of the architecture.
        net: single precision, on the CPU, in evaluation mode.
    """

    name: str
    checksum: str
    network: str
    net: EmbeddingNet


def read_weights(name: str) -> Weights:
    """Reads a shipped embedding by name, or one trained by `samereg train embedding` by path.

    Raises:
        WeightsError: missing, damaged, or weights of another network.
    """
    stored = read_stored(name, SHIPPED)
    network = stored.header.get(NETWORK_KEY, "")
    if network not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise WeightsError(f"{stored.path}: made for the network '{network}', need one of {known} in its header")
    net = build_embedding(network)
    stored.fill(net)
    return Weights(name=name, checksum=stored.checksum, network=network, net=net.eval())


def write_weights(net: EmbeddingNet, path: Path, *, network: str, header: Mapping[str, str]) -> None:
    """Writes a trained network in half precision, for `read_weights`.

    Args:
        net: trained, not folded.
        path: output file, replaced atomically.
        network: name of its architecture.
        header: further entries, such as the training recipe.
    """
    write_stored(net, path, header={**header, NETWORK_KEY: network})
