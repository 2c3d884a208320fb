"""Disk cache of arrays by key: one safetensors file per record, written atomically."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from samereg.errors import FileError
from samereg.io.tensors import read_checked_tensors, write_tensors

FORMAT = 4
"""Version of the records; records of other versions are recomputed and replaced."""

SUFFIX = ".safetensors"
OLDER_SUFFIX = ".zarr"
"""Suffix of the folders in which records were stored before format 3."""

_FORMAT_NOTE = "record_format"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CacheRecord:
    """Record of a key.

    Attributes:
        arrays: tensors by name; restored exactly, in the same data type.
        notes: strings by name.
    """

    arrays: Mapping[str, Tensor]
    notes: Mapping[str, str]


def read_record(folder: Path, key: str) -> CacheRecord | None:
    """Reads the record of a key; None if there is no valid one.

    A damaged record, or one of another `FORMAT`, is removed, because it can be recomputed.
    """
    _remove(folder / f"{key}{OLDER_SUFFIX}")
    path = folder / f"{key}{SUFFIX}"
    if not path.exists():
        return None
    try:
        arrays, notes = read_checked_tensors(path)
    except FileError:
        _remove(path)
        return None
    if notes.pop(_FORMAT_NOTE, None) != str(FORMAT):
        _remove(path)
        return None
    return CacheRecord(arrays=arrays, notes=notes)


def write_record(record: CacheRecord, folder: Path, key: str) -> None:
    """Writes the record of a key, unless it exists.

    If several processes write the same key, the last record is kept; readers always see a complete record.

    Raises:
        FileError: the folder cannot be written.
        ValueError: a note with a reserved name.
    """
    if _FORMAT_NOTE in record.notes:
        raise ValueError(f"note {_FORMAT_NOTE}: this name is reserved; need another")
    if read_record(folder, key) is None:
        header = {**record.notes, _FORMAT_NOTE: str(FORMAT)}
        write_tensors(record.arrays, folder / f"{key}{SUFFIX}", header=header)


def mark_used(folder: Path, key: str) -> None:
    """Note that a record was used now; in a folder that can only be read, nothing is noted."""
    with suppress(OSError):
        os.utime(folder / f"{key}{SUFFIX}")


def remove_least_used(folder: Path, *, limit_bytes: float) -> None:
    """Remove the records that were written or used longest ago until the others together are no larger than a limit.

    Several processes may do so at once.
    """
    records = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # another process removed it
            stat = path.stat()
            records.append((stat.st_mtime_ns, stat.st_size, path))
    size = 0
    for _, bytes_, path in sorted(records, reverse=True):
        size += bytes_
        if size > limit_bytes:
            _remove(path)


def _remove(path: Path) -> None:
    """Removes a record, unless the cache is read-only."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
