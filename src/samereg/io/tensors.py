"""Tensors by name in a safetensors file, each to the bit in its data type; knows nothing of what they mean."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from samereg.errors import FileError
from samereg.io.atomic import atomic_file

READABLE = 0o644
"""safetensors writes files that only their owner may read."""


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, header: Mapping[str, str]) -> None:
    """Write tensors and a header of strings, whole or not at all.

    Args:
        tensors: on any device and in any memory layout; some may share memory.
        path: replaced if it exists.
        header: strings by name.

    Raises:
        FileError: the file cannot be written.
    """
    kept = _apart(tensors)
    with atomic_file(path) as temporary:
        try:
            save_file(kept, temporary, metadata=dict(header))
        except SafetensorError as error:
            raise FileError(f"{path}: cannot be written: {error}.") from error
        temporary.chmod(READABLE)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a file.

    Raises:
        FileError: missing, damaged or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(f"{path}: is not a safetensors file that can be read ({error}).") from error


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, packed, none sharing memory with another, which safetensors refuses."""
    kept: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        packed = tensor.detach().cpu().contiguous()
        place = packed.untyped_storage().data_ptr()
        kept[name] = packed.clone() if place in taken else packed
        taken.add(place)
    return kept
