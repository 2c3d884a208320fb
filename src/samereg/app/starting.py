"""Initial affine transforms for other registration tools: their files and commands."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from samereg.app.machine import prepare_machine
from samereg.app.overwriting import claimed_outputs
from samereg.app.progress import OnProgress
from samereg.app.scans import read_scan, series_of_pair
from samereg.app.session import Session
from samereg.app.settings import AffineSettings
from samereg.errors import TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.io.format_names import TransformFormatName
from samereg.io.transform_files import TRANSFORM_FORMATS, write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.ops.ambient import own_torch
from samereg.pipeline.quality import Quality


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Initial transform for one tool.

    Attributes:
        tool: its name.
        file: its transform file.
        command: that uses the file, or an instruction.
    """

    tool: str
    file: Path
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StartRecord:
    """An affine map and its files.

    Attributes:
        matrix: fixed world to moving world, LPS mm.
        quality: measures that need no labels.
        starts: one per tool.
        faults: a sentence for each measure that failed.
        exit_status: of the command: 10 if and only if the verdict is failed.
    """

    matrix: tuple[tuple[float, ...], ...]
    quality: Quality
    starts: tuple[Start, ...]
    faults: tuple[str, ...]
    exit_status: int


_TOOLS: tuple[tuple[str, TransformFormatName], ...] = (
    ("ANTs", "ants"),
    ("elastix", "elastix"),
    ("greedy", "greedy"),
    ("NiftyReg", "niftyreg"),
)


@own_torch()
def find_start(
    fixed_path: Path,
    moving_path: Path,
    output: Path,
    *,
    settings: AffineSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> StartRecord:
    """Estimates the affine map between two scans and writes it for each tool.

    Args:
        fixed_path: scan that stays.
        moving_path: scan to align with the fixed one.
        output: ITK transform file; the others are written beside it, with names derived from it.
        settings: all other settings.
        overwrite: replace existing files.
        on_progress: told about each step.

    Raises:
        UsageError: a file exists.
        InputError: an invalid scan.
        NoOverlapError: too little common anatomy.
    """
    files = (output, *(_beside(output, format_name) for _, format_name in _TOOLS))
    with claimed_outputs(*files, overwrite=overwrite):
        prepare_machine(settings.machine, seed=settings.seed)
        series = series_of_pair(fixed_path, moving_path, settings.series or ())
        volumes = read_scan(fixed_path, series=series[0]), read_scan(moving_path, series=series[1])
        session = Session(device=settings.machine.device, embedding=settings.embedding)
        fixed, moving = (session.prepare(volume) for volume in volumes)
        found = session.register(fixed, moving, settings.registration(), on_progress=on_progress)
        if not isinstance(found.transform, Affine):
            raise TransformError("the affine stage gave another map than an affine one")
        grids = fixed.volume.grid, moving.volume.grid
        starts = write_starts(found.transform, output, scans=(fixed_path, moving_path), grids=grids)
    return StartRecord(
        matrix=tuple(tuple(row) for row in found.transform.matrix.tolist()),
        quality=found.record.quality,
        starts=starts,
        faults=found.record.faults,
        exit_status=found.record.exit_status,
    )


def write_starts(
    affine: Affine, output: Path, *, scans: tuple[Path, Path], grids: tuple[Grid, Grid]
) -> tuple[Start, ...]:
    """Writes an affine map for each tool in its convention.

    Args:
        affine: fixed world to moving world.
        output: ITK transform file, for Slicer and SimpleITK; the names of the others are derived from it.
        scans: fixed and moving, for the commands.
        grids: of both scans.
    """
    spaces = Spaces(fixed=grids[0], moving=grids[1])
    write_transform_file(affine, output, format="itk", spaces=spaces)
    starts = [Start(tool="Slicer, SimpleITK", file=output, command=_slicer(output))]
    for tool, format_name in _TOOLS:
        path = _beside(output, format_name)
        write_transform_file(affine, path, format=format_name, spaces=spaces)
        starts.append(Start(tool=tool, file=path, command=_command(tool, path, *scans)))
    return tuple(starts)


def _beside(output: Path, format_name: TransformFormatName) -> Path:
    stem = output.name.removesuffix(output.suffix)
    return output.with_name(f"{stem}_{format_name}{TRANSFORM_FORMATS[format_name].affine_suffix}")


def _slicer(output: Path) -> str:
    return f"Slicer: add {output} as a transform and choose it as the parent of the moving volume"


def _command(tool: str, file: Path, fixed: Path, moving: Path) -> str:
    """A POSIX shell command, quoted."""
    f, m, start = (_argument(path) for path in (fixed, moving, file))
    words: dict[str, list[str]] = {
        "ANTs": [
            *("antsRegistration", "-d", "3", "-r", start, "-m", f"MI[{f},{m},1,32,Regular,0.25]", "-t", "SyN[0.1,3,0]"),
            *("-c", "[100x70x50,1e-6,10]", "-f", "8x4x2", "-s", "3x2x1vox", "-o", "[ants_,ants_moved.nii.gz]"),
        ],
        "elastix": ["elastix", "-f", f, "-m", m, "-t0", start, "-p", "bspline.txt", "-out", "elastix_out"],
        "greedy": [
            *("greedy", "-d", "3", "-a", "-i", f, m, "-ia", start, "-m", "NCC", "4x4x4", "-n", "100x50x10"),
            *("-o", "greedy_affine.mat"),
        ],
        "NiftyReg": [
            *("reg_aladin", "-ref", f, "-flo", m, "-inaff", start),
            *("-aff", "niftyreg_affine.txt", "-res", "niftyreg_moved.nii.gz"),
        ],
    }
    return shlex.join(words[tool])


def _argument(path: Path) -> str:
    """A path that no program mistakes for a flag."""
    return f"./{path}" if str(path).startswith("-") else str(path)
