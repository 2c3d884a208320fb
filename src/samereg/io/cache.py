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

from samereg.io.atomic import new_directory

FORMAT = 2
"""Of the records; one of another number is computed anew, and replaced."""

BIT_VIEWS = {torch.bfloat16: torch.int16}
"""Formats that numpy lacks, and as what their bits are kept."""

_FORMAT_NOTE, _VIEWS_NOTE = "format", "bit_views"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CacheRecord:
    """What is kept under a key.

    Attributes:
        arrays: tensors by name; each comes back to the bit, in its data type.
        notes: strings by name.
    """

    arrays: Mapping[str, Tensor]
    notes: Mapping[str, str]


def read_record(folder: Path, key: str) -> CacheRecord | None:
    """Record of a key; None where there is none that can be read.

    A damaged record, or one of another `FORMAT`, is removed: it can be computed again.
    """
    path = folder / f"{key}.zarr"
    if not path.is_dir():
        return None
    try:
        return _parsed(path)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError):
        shutil.rmtree(path, ignore_errors=True)
        return None


def write_record(record: CacheRecord, folder: Path, key: str) -> None:
    """Keep a record under a key; a record that another process wrote meanwhile stays.

    Raises:
        FileError: the folder cannot be written.
        ValueError: a note of a name that the record itself needs.
    """
    path = folder / f"{key}.zarr"
    taken = sorted({_FORMAT_NOTE, _VIEWS_NOTE} & set(record.notes))
    if taken:
        raise ValueError(f"notes {', '.join(taken)}: the record itself needs these names; need others")
    if read_record(folder, key) is not None:
        return
    with new_directory(path) as temporary:
        group = zarr.open_group(str(temporary), mode="w")
        for name, tensor in record.arrays.items():
            group.create_array(name, data=_storable(tensor))
        views = {name: str(t.dtype).removeprefix("torch.") for name, t in record.arrays.items() if _is_viewed(t)}
        group.attrs.update({**record.notes, _FORMAT_NOTE: FORMAT, _VIEWS_NOTE: views})


def _parsed(path: Path) -> CacheRecord:
    group = zarr.open_group(str(path), mode="r")
    notes: dict[str, Any] = dict(group.attrs.items())
    if notes.pop(_FORMAT_NOTE) != FORMAT:
        raise ValueError(f"{path}: a record of another format than {FORMAT}")
    viewed = {str(dtype).removeprefix("torch."): dtype for dtype in BIT_VIEWS}
    views = {name: viewed[dtype] for name, dtype in dict(notes.pop(_VIEWS_NOTE)).items()}
    arrays = {name: torch.from_numpy(np.asarray(array[...])) for name, array in group.arrays()}
    return CacheRecord(
        arrays={name: array.view(views[name]) if name in views else array for name, array in arrays.items()},
        notes={str(name): str(value) for name, value in notes.items()},
    )


def _is_viewed(tensor: Tensor) -> bool:
    return tensor.dtype in BIT_VIEWS


def _storable(tensor: Tensor) -> NDArray[Any]:
    kept = tensor.detach().cpu().contiguous()
    return (kept.view(BIT_VIEWS[kept.dtype]) if _is_viewed(kept) else kept).numpy()
