"""Trained deformation networks: the shipped one by name, others by path."""

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
    """What weights of a deformation network say of themselves.

    Attributes:
        network: name of the architecture.
        correlation: whether it takes the correlation of embeddings.
        form: what it predicts: `velocity` or `displacement`.
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
        name: as asked for: a shipped name or a path.
        checksum: SHA-256 of the file.
        header: what it is.
        net: single precision, on the CPU, in evaluation mode.
    """

    name: str
    checksum: str
    header: DeformHeader
    net: DeformNet


def read_deform_weights(name: str) -> DeformWeights:
    """A shipped deformation network by name, or one that was trained with `samereg train deform` by path.

    Raises:
        WeightsError: no such file, a damaged one, or weights of another kind of network.
    """
    stored = read_stored(name, SHIPPED)
    header = _header(stored.header, stored.path)
    net = build_deform(header.network, correlation=header.correlation)
    stored.fill(net)
    return DeformWeights(name=name, checksum=stored.checksum, header=header, net=net.eval())


def write_deform_weights(net: DeformNet, path: Path, *, header: DeformHeader, notes: Mapping[str, str]) -> None:
    """Keep a trained network in half precision; `read_deform_weights` reads it back.

    Args:
        net: trained, not folded.
        path: file to write, replaced whole.
        header: what it is.
        notes: further entries, as the recipe it was trained with.
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
