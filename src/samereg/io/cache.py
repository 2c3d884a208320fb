"""Arrays that took long to compute, kept on disk by key as zarr; a record appears whole or not at all."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from samereg.errors import UsageError
from samereg.io.atomic import atomic_directory

FORMAT = 1
"""Of the records; one of another number is computed anew."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CacheRecord:
    """What is kept under a key.

    Attributes:
        arrays: tensors by name; bfloat16 comes back as float16.
        notes: strings by name.
    """

    arrays: Mapping[str, Tensor]
    notes: Mapping[str, str]


def read_record(folder: Path, key: str) -> CacheRecord | None:
    """Record of a key; None where there is none that can be read.

    A damaged record is removed: it can be computed again.
    """
    path = folder / f"{key}.zarr"
    if not path.is_dir():
        return None
    try:
        group = zarr.open_group(str(path), mode="r")
        if group.attrs["format"] != FORMAT:
            return None
        arrays = {name: torch.from_numpy(np.asarray(array[...])) for name, array in group.arrays()}
        notes = {str(name): str(value) for name, value in group.attrs.items() if name != "format"}
    except (OSError, KeyError, ValueError, RuntimeError):
        shutil.rmtree(path)
        return None
    return CacheRecord(arrays=arrays, notes=notes)


def write_record(record: CacheRecord, folder: Path, key: str) -> None:
    """Keep a record under a key; a record that another process wrote meanwhile stays.

    Raises:
        FileError: the folder cannot be written.
    """
    path = folder / f"{key}.zarr"
    try:
        with atomic_directory(path) as temporary:
            group = zarr.open_group(str(temporary), mode="w")
            for name, tensor in record.arrays.items():
                group.create_array(name, data=_storable(tensor))
            group.attrs.update({"format": FORMAT, **record.notes})
    except UsageError:  # the folder exists: somebody else was faster
        return


def _storable(tensor: Tensor) -> NDArray[Any]:
    kept = tensor.detach().cpu()
    return (kept.half() if kept.dtype == torch.bfloat16 else kept).contiguous().numpy()
