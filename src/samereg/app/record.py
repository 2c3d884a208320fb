"""What a run leaves behind about itself: versions, inputs, settings, as plain values for JSON."""

import dataclasses
import enum
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samereg._version import __version__
from samereg.geometry.grid import Grid
from samereg.io.atomic import atomic_file
from samereg.io.dicom_files import files_below

RECORDED_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "safetensors")
"""Packages whose version can change a result."""

REGISTRATION_FILES = (
    "moved.nii.gz",
    "transform.h5",
    "inverse.h5",
    "matches.csv",
    "run.json",
    "confidence.nii.gz",
    "report.html",
)
"""What a registration may leave in its folder, the report on it included; a new one there outdates all of it."""

HASH_BLOCK_BYTES = 2**20

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What JSON can hold, all the way down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """Software that a result was computed with.

    Attributes:
        samereg: of this package.
        python: of the interpreter.
        platform: operating system and processor family.
        packages: of the packages that can change a result.
    """

    samereg: str
    python: str
    platform: str
    packages: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecord:
    """One input scan, so that it can be recognised later.

    Attributes:
        path: as given by the user; None for an image in memory.
        sha256: of the file, or of all files of a folder in the order of their names; None for an image in memory.
        shape: voxels along (d, h, w).
        spacing_mm: along (d, h, w).
        series: what `--series` said.
    """

    path: Path | None
    sha256: str | None
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    series: str | None = None


def versions() -> Versions:
    """Versions of everything that can change a result."""
    return Versions(
        samereg=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    )


def input_record(path: Path, grid: Grid, *, series: str | None = None) -> InputRecord:
    """Record of an input scan that lies on `grid`."""
    return InputRecord(path=path, sha256=sha256_of(path), shape=grid.shape, spacing_mm=grid.spacing_mm, series=series)


def memory_record(grid: Grid) -> InputRecord:
    """Record of an image in memory that lies on `grid`."""
    return InputRecord(path=None, sha256=None, shape=grid.shape, spacing_mm=grid.spacing_mm)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder, links included, one after another in the order of their paths.

    Hidden files do not count, nor links to nothing: no scan is read from them.
    """
    files = [file for file in files_below(path) if file.is_file()] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def to_plain(value: object) -> Plain:
    """A value as JSON can hold it: dataclasses and mappings become objects, sequences lists, all else text.

    Numbers that JSON does not know (NaN, infinity) become null.

    Example:
        >>> to_plain({"folder": Path("out"), "size_mm": (2.0, float("nan"))})
        {'folder': 'out', 'size_mm': [2.0, None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, Tensor):
        return to_plain(value.tolist())
    if isinstance(value, nn.Module):
        return type(value).__name__
    return _container_to_plain(value)


def write_json(value: object, path: Path) -> None:
    """Write a value as indented JSON, in ASCII, whole or not at all.

    Bytes of a path that are no UTF-8 are written as lone surrogates, from which Python finds the file again.

    Raises:
        FileError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(to_plain(value), indent=2) + "\n", encoding="utf-8")


def named_settings(stage: object) -> dict[str, Plain]:
    """Class name and fields of a frozen dataclass whose fields are settings."""
    settings = to_plain(stage)
    return {"name": type(stage).__name__, "settings": settings if isinstance(settings, dict) else {}}


def describe_device(device: torch.device) -> str:
    """Name of the processor or GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in _processor_table():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _processor_table() -> list[str]:
    """Lines of Linux's description of its processors; none elsewhere."""
    table = Path("/proc/cpuinfo")
    return table.read_text(encoding="utf-8").splitlines() if table.is_file() else []


def _container_to_plain(value: object) -> Plain:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: to_plain(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not each.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    return str(value)
