"""Exact storage of named tensors in safetensors files with checksums."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from samereg.errors import FileError
from samereg.io.atomic import atomic_file

_LENGTH_BYTES = 8
"""At the start of a file, the length of its header as a little-endian integer."""
_STRINGS = "__metadata__"
_SUM = "sha256_of_contents"
"""Header entry of the checksum; files of other writers and earlier versions have none."""


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, header: Mapping[str, str]) -> None:
    """Writes tensors and a header of strings, atomically.

    Args:
        tensors: on any device and in any memory layout; some may share memory.
        path: replaced if it exists.
        header: strings by name.

    Raises:
        FileError: the file cannot be written.
    """
    kept = _apart(tensors)
    content = save(kept, metadata={**header, _SUM: _digest(kept, header)})
    # Not by the library's own `save_file`, which leaves temporary files of its own when it is killed.
    with atomic_file(path) as temporary:
        temporary.write_bytes(_with_sorted_header(content))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and header, and verifies the checksum if there is one.

    Raises:
        FileError: missing, damaged or of another format.
    """
    tensors, header = _read(path)
    expected = header.pop(_SUM, None)
    if expected is not None and expected != _digest(tensors, header):
        raise FileError(f"{path}: is damaged, its checksum does not fit its contents.")
    return tensors, header


def read_checked_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and header of a file that must have a checksum.

    Raises:
        FileError: see `read_tensors`; or the checksum is missing.
    """
    if _SUM not in _read(path)[1]:
        raise FileError(f"{path}: is damaged, or of an earlier version: it has no checksum.")
    return read_tensors(path)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(f"{path}: is not a safetensors file that can be read ({error}).") from error


def _with_sorted_header(content: bytes) -> bytes:
    """Contents of a file whose strings, which safetensors orders at random, are sorted: equal contents, equal bytes."""
    start = _LENGTH_BYTES
    end = start + int.from_bytes(content[:start], "little")
    entries = json.loads(content[start:end])
    entries[_STRINGS] = dict(sorted(entries[_STRINGS].items()))
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return content[:start] + header.ljust(end - start) + content[end:]


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """SHA-256 of names, sizes, bytes and header, to detect flipped bits."""
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU copies that share no memory, as safetensors requires."""
    kept: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        packed = tensor.detach().cpu().contiguous()
        place = packed.untyped_storage().data_ptr()
        kept[name] = packed.clone() if place in taken else packed
        taken.add(place)
    return kept
