"""Weights files: half-precision safetensors with a header; shipped files are verified by checksum."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from samereg.errors import FileError, WeightsError
from samereg.io.tensors import read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredTensors:
    """Contents of a weights file.

    Attributes:
        path: of the file.
        checksum: SHA-256 of the file.
        tensors: by name, in the precision of the file.
        header: strings by name.
    """

    path: Path
    checksum: str
    tensors: Mapping[str, Tensor]
    header: Mapping[str, str]

    def fill(self, net: nn.Module) -> None:
        """Loads the tensors into a network, in single precision.

        Raises:
            WeightsError: they belong to another network, or are not finite.
        """
        unusable = sorted(key for key, value in self.tensors.items() if not bool(torch.isfinite(value.float()).all()))
        if unusable:
            raise WeightsError(f"{self.path}: damaged, holds NaN or infinity in {unusable[0]}; need finite numbers")
        try:
            net.load_state_dict({key: value.float() for key, value in self.tensors.items()})
        except RuntimeError as error:
            raise WeightsError(f"{self.path}: does not fit the network that its header names: {error}") from error


def read_stored(name: str, shipped: Mapping[str, str]) -> StoredTensors:
    """Reads a shipped file by name, or any file by path.

    Args:
        name: a key of `shipped`, or a path.
        shipped: SHA-256 of each shipped file, by name.

    Raises:
        WeightsError: missing or damaged.
    """
    path = shipped_path(name) if name in shipped else Path(name)
    if not path.is_file():
        known = ", ".join(shipped)
        raise WeightsError(f"{name}: no such weights; need one of {known}, or the path of a .safetensors file")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if name in shipped and checksum != shipped[name]:
        raise WeightsError(f"{path}: damaged, its checksum is {checksum[:12]}..., need {shipped[name][:12]}...")
    tensors, header = _read(path)
    return StoredTensors(path=path, checksum=checksum, tensors=tensors, header=header)


def write_stored(net: nn.Module, path: Path, *, header: Mapping[str, str]) -> None:
    """Writes a trained network in half precision; the file is replaced atomically."""
    tensors = {key: _halved(value) for key, value in net.state_dict().items()}
    write_tensors(tensors, path, header=header)


def shipped_path(name: str) -> Path:
    """Path of a shipped file."""
    return Path(str(resources.files("samereg.weights") / f"{name}.safetensors"))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        return read_tensors(path)
    except FileError as error:
        raise WeightsError(str(error)) from error


def _halved(value: Tensor) -> Tensor:
    return value.to(torch.float16) if value.is_floating_point() else value
