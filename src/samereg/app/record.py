"""The run record: versions, machine, inputs, settings, quality and verdict."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from samereg._version import __version__
from samereg.app.guiding import GuidanceRecord
from samereg.app.plain import Plain, to_plain
from samereg.app.settings import RegisterSettings
from samereg.app.verdict import Verdict, VerdictLimits
from samereg.estimate.deform import DeformerRecord
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.io.atomic import atomic_file
from samereg.io.dicom_files import files_below
from samereg.io.dicom_origin import patient_of
from samereg.matching.embed import EmbedderRecord
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import StageReport

RECORDED_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "safetensors")
"""Packages whose versions may affect results."""

HASH_BLOCK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """Software versions of a run.

    Attributes:
        samereg: of this package.
        python: of the interpreter.
        platform: operating system and processor architecture.
        packages: of packages that may affect results.
    """

    samereg: str
    python: str
    platform: str
    packages: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecord:
    """Identity of an input scan.

    Attributes:
        path: as given by the user; None for an image in memory.
        sha256: of the file, or of all files of a folder in the order of their names; None for an image in memory.
        shape: voxels along (d, h, w).
        spacing_mm: along (d, h, w).
        series: value of `--series`.
        patient: whose DICOM scan it is and of which study, by DICOM keyword; empty unless `--keep-patient`.
    """

    path: Path | None
    sha256: str | None
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    series: str | None
    patient: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineRecord:
    """Hardware of a run.

    Attributes:
        device: torch's name.
        name: of the processor or GPU.
        threads: of the CPU.
    """

    device: str
    name: str
    threads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Contents of `run.json`.

    Attributes:
        versions: software.
        machine: hardware.
        embedding: name, checksum and precision of the network.
        deform: the same for the deformation network; None if none was used.
        settings: as requested.
        recipe: the stages with all their settings.
        fixed: fixed scan.
        moving: moving scan.
        stages: time and outcome of each stage.
        quality: measures of the result that need no labels.
        verdict: good, doubtful or failed, with reasons and notes on the scans.
        faults: a sentence for each measure that failed.
        seconds: wall time of preparation and registration, without reading and writing.
        exit_status: exit code of the command: 10 if and only if the verdict is failed.
        limits: bounds of the verdict.
        guidance: landmarks, with how each is kept, and masks; None where nothing guided.
    """

    versions: Versions
    machine: MachineRecord
    embedding: EmbedderRecord
    deform: DeformerRecord | None
    settings: RegisterSettings
    recipe: tuple[dict[str, Plain], ...]
    fixed: InputRecord
    moving: InputRecord
    stages: tuple[StageReport, ...]
    quality: Quality
    verdict: Verdict
    faults: tuple[str, ...]
    seconds: float
    exit_status: int
    limits: VerdictLimits = field(default_factory=VerdictLimits)
    guidance: GuidanceRecord | None = None


def versions() -> Versions:
    """Versions of all software that may affect results."""
    return Versions(
        samereg=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    )


def input_record(volume: Volume, *, keep_patient: bool = False) -> InputRecord:
    """Record of an input scan, with the checksum that its source holds; it names a patient only if asked to."""
    source = volume.source
    return InputRecord(
        path=source.path,
        sha256=source.sha256,
        shape=volume.grid.shape,
        spacing_mm=volume.grid.spacing_mm,
        series=source.series,
        patient=patient_of(source) if keep_patient else {},
    )


def file_record(path: Path, grid: Grid) -> InputRecord:
    """Record of an input file on `grid`; reads the file again for its checksum."""
    return InputRecord(path=path, sha256=sha256_of(path), shape=grid.shape, spacing_mm=grid.spacing_mm, series=None)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of the concatenated files of a folder, including links, in the order of their paths.

    Hidden files and broken links are skipped, as in reading.
    """
    files = [file for file in files_below(path) if file.is_file()] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def write_json(value: object, path: Path) -> None:
    """Writes a value as indented ASCII JSON, atomically.

    Bytes of a path that are not UTF-8 are written as lone surrogates, which Python can decode.

    Raises:
        FileError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def named_settings(stage: object) -> dict[str, Plain]:
    """Class name and fields of a settings dataclass."""
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
    """Lines of /proc/cpuinfo; empty on other systems than Linux."""
    table = Path("/proc/cpuinfo")
    return table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
