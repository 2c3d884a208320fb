"""Weights of deformation networks: shipped ones by name, others by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import WeightsError
from samereg.nets.build import DEFORM_NETWORKS, build_deform
from samereg.nets.deform import DeformNet
from samereg.weights.files import read_stored, write_stored

SHIPPED: dict[str, str] = {
    "sam-vm": "1bd8c7310ad68d9b4fbb3ff6e273033f404fdedd28e9fca73c24333a32f00631",
}
"""SHA-256 of each file `weights/NAME.safetensors` of this package."""

FORMS = ("velocity", "displacement")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeformHeader:
    """Header of the weights of a deformation network.

    Attributes:
        network: name of the architecture.
        correlation: whether it takes the correlation of embeddings as input.
        form: type of the prediction: `velocity` or `displacement`.
        embedding: SHA-256 of the embedding whose correlations it was trained on.
    """

    network: str
    correlation: bool
    form: str
    embedding: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeformWeights:
    """A deformation network with its trained weights.

    Attributes:
        name: as requested: a shipped name or a path.
        checksum: SHA-256 of the file.
        header: its header.
        net: single precision, on the CPU, in evaluation mode.
    """

    name: str
    checksum: str
    header: DeformHeader
    net: DeformNet


def read_deform_weights(name: str) -> DeformWeights:
    """Reads a shipped deformation network by name, or one trained by `samereg train deform` by path.

    Raises:
        WeightsError: missing, damaged, or weights of another kind of network.
    """
    stored = read_stored(name, SHIPPED)
    header = _header(stored.header, stored.path)
    net = build_deform(header.network, correlation=header.correlation)
    stored.fill(net)
    return DeformWeights(name=name, checksum=stored.checksum, header=header, net=net.eval())


def write_deform_weights(net: DeformNet, path: Path, *, header: DeformHeader, notes: Mapping[str, str]) -> None:
    """Writes a trained network in half precision, for `read_deform_weights`.

    Args:
        net: trained, not folded.
        path: output file, replaced atomically.
        header: its header.
        notes: further entries, such as the training recipe.
    """
    entries = {
        "network": header.network,
        "correlation": "yes" if header.correlation else "no",
        "form": header.form,
        "embedding": header.embedding,
    }
    write_stored(net, path, header={**notes, **entries})


def _header(entries: Mapping[str, str], path: Path) -> DeformHeader:
    network, form = entries.get("network", ""), entries.get("form", "")
    if network not in DEFORM_NETWORKS or form not in FORMS:
        known = ", ".join(sorted(DEFORM_NETWORKS))
        raise WeightsError(f"{path}: made for the network '{network}' of form '{form}', need one of {known}")
    return DeformHeader(
        network=network,
        correlation=entries.get("correlation") == "yes",
        form=form,
        embedding=entries.get("embedding", ""),
    )
