"""One format of files under test: how a base is made, how samereg reads it, and how somebody else does."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.mutations import Field, Target
from benchmarks.faults.splices import GZIP, RAW, ZIP, Files

Value = Mapping[str, Any]
"""What was read: arrays, texts and numbers by name."""

RELATIVE, ABSOLUTE = 2e-5, 1e-4
"""Two readers round differently: single precision for voxels, decimals of headers for positions."""
SHORTEST_TEXT = 12
_FIELD_DIMENSIONS = 4


class Unreadable(Exception):  # noqa: N818 - names what it says
    """Another reader refuses a file."""


def no_fields(_files: Files) -> tuple[Field, ...]:
    """Of formats whose fields are words of a text or found by flips alone."""
    return ()


def not_plain(_files: Files) -> Mapping[str, tuple[int, int]]:
    """Of formats whose numbers are text, compressed or spread over the file."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A format that samereg reads.

    Attributes:
        name: of the format.
        make: writes an undamaged base into an empty folder; the same bytes each time.
        read: what samereg reads of the folder.
        reference: what an independent reader reads of it; raises whatever it likes where it cannot.
        legitimate: in words, how a damaged file may legitimately be read as something else.
        fields: places with a meaning, for extreme values.
        payload: first and last byte of plain numbers, by file: damage there may change these numbers alone.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Value]
    reference: Callable[[Path], Value]
    legitimate: str
    fields: Callable[[Files], tuple[Field, ...]] = no_fields
    payload: Callable[[Files], Mapping[str, tuple[int, int]]] = not_plain


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name relative to it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(files: Files, folder: Path) -> None:
    """Put files into a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def target_of(format: Format, files: dict[str, bytes]) -> Target:
    """What can be damaged of a base."""
    views = tuple((name, view) for name in sorted(files) for view in _views(name))
    text = {(name, RAW): _text_bytes(content) for name, content in files.items()}
    return Target(files=files, views=views, fields=format.fields(files), text_bytes=text)


def same_value(first: Value, second: Value) -> bool:
    """Whether two readers read the same, but for rounding."""
    return set(first) == set(second) and all(_same(first[name], second[name]) for name in first)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        a, b = np.asarray(first), np.asarray(second)
        if a.shape != b.shape:
            return False
        if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
            return bool(np.array_equal(a, b))
        return _close(a.astype(np.float64), b.astype(np.float64))
    return json.dumps(first, sort_keys=True, default=str) == json.dumps(second, sort_keys=True, default=str)


def _close(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether arrays agree but for rounding, which for vectors is that of their length: axes are mixed in sums."""
    both = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(np.where(both, 0.0, a), np.where(both, 0.0, b), equal_nan=True):
        return False
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    scale = np.maximum(np.abs(a), np.abs(b))
    if a.ndim == _FIELD_DIMENSIONS and len(a) == 3:
        scale = scale.max(axis=0)
    with np.errstate(over="ignore"):
        return bool((np.abs(a - b) <= ABSOLUTE + RELATIVE * scale).all())


def _views(name: str) -> tuple[str, ...]:
    lowered = name.lower()
    if lowered.endswith(".gz"):
        return (RAW, GZIP, GZIP)  # flips of the outside are found by its checksum; most damage is worth more inside
    if lowered.endswith(".npz"):
        return (RAW, ZIP)
    return (RAW,)


def _text_bytes(content: bytes) -> int:
    length = next(
        (n for n, byte in enumerate(content) if byte > 126 or (byte < 32 and byte not in b"\t\r\n")), len(content)
    )
    return length if length >= SHORTEST_TEXT else 0
