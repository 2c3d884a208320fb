"""Registers two scans given by path and writes the result; nothing is left behind when it fails."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, get_args, get_type_hints

import torch

from samereg.app.machine import MachineSettings, prepare_machine
from samereg.app.match_table import write_matches
from samereg.app.progress import OnProgress
from samereg.app.record import (
    REGISTRATION_FILES,
    InputRecord,
    Plain,
    Versions,
    describe_device,
    input_record,
    named_settings,
    versions,
    write_json,
)
from samereg.app.scans import naming_bodiless, read_scan, series_of_pair
from samereg.app.verdict import Verdict, VerdictLimits, judge
from samereg.errors import UsageError, WeightsError
from samereg.estimate.deform import Deformer, DeformerRecord, load_deformer
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.io.atomic import atomic_directory
from samereg.io.format_names import TransformFormatName
from samereg.io.images import write_volume
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import write_transform
from samereg.matching.embed import Embedder, EmbedderRecord, load_embedder
from samereg.ops.ambient import own_torch
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.confidence import confidence_of
from samereg.pipeline.quality import Quality
from samereg.pipeline.recipes import OrientationName, affine_only, fast, same, same_plus
from samereg.pipeline.register import Registration, StageReport, register
from samereg.pipeline.stage import Stage

CONFIDENCE_FILE = "confidence.nii.gz"
"""Expected error in mm on the fixed grid, -1 outside the body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterSettings:
    """Everything that a registration by path depends on besides its two scans.

    Attributes:
        preset: `default` is the paper's method, `best` adds instance optimisation, `fast` is affine and coarse,
            `affine` the affine part alone.
        filter: how bad matches are thrown out: `stable` (cycle consistency) or `threshold` (the paper's
            theta).
        affine_model: freedom of the affine part.
        filler: how the matches become a dense field.
        embedding: name of the shipped embedding, or path of a trained one.
        init: transform file to start from, fixed to moving; the affine stage is left out.
        init_format: its format; None tells it from the file.
        deform: name of the shipped deformation network, or path of a trained one.
        orientation: `find` turns a scan whose header is wrong about the way round it lies, and refuses a mirrored one;
            `header` believes both headers.
        series: UIDs of DICOM series; see `series_of_pair`.
        confidence: whether to write the expected error of each place, too.
        machine: what to compute on.
        seed: decides everything random.
        limits: bounds of the verdict.
    """

    preset: Literal["default", "best", "fast", "affine"] = "default"
    filter: Literal["stable", "threshold"] = "stable"
    affine_model: Literal["affine", "rigid", "similarity"] = "affine"
    filler: Literal["regularised", "linear"] = "regularised"
    embedding: str = "compact"
    init: Path | None = None
    init_format: TransformFormatName | None = None
    deform: str = "sam-vm"
    orientation: OrientationName = "find"
    series: tuple[str, ...] = ()
    confidence: bool = False
    machine: MachineSettings = field(default_factory=MachineSettings)
    seed: int = 0
    limits: VerdictLimits = field(default_factory=VerdictLimits)

    def __post_init__(self) -> None:
        """Refuse names that do not exist, of which some other would be taken.

        Raises:
            UsageError: an unknown preset, filter, affine model, filler or orientation.
        """
        hints = get_type_hints(RegisterSettings)
        for name in ("preset", "filter", "affine_model", "filler", "orientation"):
            allowed = get_args(hints[name])
            if getattr(self, name) not in allowed:
                wanted = ", ".join(map(repr, allowed))
                raise UsageError(f"Got {name}={getattr(self, name)!r}; need one of {wanted}.")


class Choices(TypedDict):
    """What every recipe with a coarse part is told."""

    match_filter: Literal["stable", "threshold"]
    affine_model: Literal["affine", "rigid", "similarity"]
    filler: Literal["regularised", "linear"]
    seed: int
    orientation: OrientationName


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineRecord:
    """What the computation ran on: device, its name, and CPU threads."""

    device: str
    name: str
    threads: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Engine:
    """What computes a registration.

    Attributes:
        device: what it runs on.
        embedder: the anatomical embedding.
        embedding: what the run record says of it.
        deformer: the deformation network; None for stages without one.
        stages: run one after another.
    """

    device: torch.device
    embedder: Embedder
    embedding: EmbedderRecord
    deformer: Deformer | None
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Contents of `run.json`.

    Attributes:
        versions: software.
        machine: hardware.
        embedding: name, checksum and precision of the network.
        deform: the same of the deformation network; None where none was used.
        settings: as asked for.
        recipe: the stages with all their settings.
        fixed: fixed scan.
        moving: moving scan.
        stages: time and outcome of each stage.
        quality: what the result measures.
        verdict: what the figures say: good, doubtful or failed, and why; and what was noted of the scans.
        faults: a sentence for each figure that failed.
        seconds: wall time from reading to writing, without start-up.
        exit_status: exit code of the command: 10 exactly where the verdict is failed.
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


@own_torch()
def register_files(
    fixed_path: Path,
    moving_path: Path,
    output: Path,
    *,
    settings: RegisterSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Register two scans and write `moved.nii.gz`, both transforms, the matches and the run record.

    A result whose verdict is failed is written all the same; the record holds its faults and the exit status. When
    nothing trustworthy can be computed, nothing is written.

    Args:
        fixed_path: scan that stays: a file, or a folder of DICOM slices.
        moving_path: scan to be aligned with it.
        output: folder to make.
        settings: everything else.
        overwrite: write into `output` even if it holds something; files of an earlier registration go.
        on_progress: told about each step.

    Raises:
        UsageError: `output` exists, a setting is impossible on this computer, or a start is given to the preset that
            finds nothing but a start.
        InputError: a scan that cannot be used.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
        WeightsError: the embedding is missing or damaged.
    """
    began = time.perf_counter()
    with atomic_directory(output, overwrite=overwrite, ours=REGISTRATION_FILES) as folder:
        device = prepare_machine(settings.machine, seed=settings.seed)
        series = series_of_pair(fixed_path, moving_path, settings.series)
        fixed = read_scan(fixed_path, series=series[0])
        moving = read_scan(moving_path, series=series[1])
        start = read_start(settings, fixed.grid, moving.grid)
        engine = load_engine(settings, device=device)
        with naming_bodiless((fixed_path, fixed), (moving_path, moving)):
            result = register(
                fixed,
                moving,
                stages=engine.stages,
                embedder=engine.embedder,
                start=start,
                on_progress=on_progress,
            )
        write_registration(result, fixed=fixed, moving=moving, folder=folder)
        if settings.confidence:
            error_mm = confidence_of(fixed, moving, result.transform, engine.embedder, result.turns)
            write_volume(error_mm, folder / CONFIDENCE_FILE)
        inputs = (
            input_record(fixed_path, fixed.grid, series=series[0]),
            input_record(moving_path, moving.grid, series=series[1]),
        )
        seconds = round(time.perf_counter() - began, 3)
        record = run_record(result, engine, settings=settings, inputs=inputs, seconds=seconds)
        write_json(record, folder / "run.json")
    return record


def load_engine(settings: RegisterSettings, *, device: torch.device) -> Engine:
    """The networks and stages that settings ask for.

    Raises:
        WeightsError: weights that are missing, damaged, or do not belong together.
    """
    embedder = load_embedder(settings.embedding, device=str(device))
    deformer = load_fitting_deformer(settings, embedder.record, device=str(device))
    return Engine(
        device=device,
        embedder=embedder,
        embedding=embedder.record,
        deformer=deformer,
        stages=recipe(settings, deformer),
    )


def run_record(
    result: Registration,
    engine: Engine,
    *,
    settings: RegisterSettings,
    inputs: tuple[InputRecord, InputRecord],
    seconds: float,
) -> RunRecord:
    """What `run.json` is to say of a registration of the fixed and the moving input."""
    verdict = judge(result.quality, settings.limits, result.turns.notes)
    return RunRecord(
        versions=versions(),
        machine=MachineRecord(
            device=str(engine.device), name=describe_device(engine.device), threads=torch.get_num_threads()
        ),
        embedding=engine.embedding,
        deform=engine.deformer.record if engine.deformer else None,
        settings=settings,
        recipe=tuple(named_settings(stage) for stage in engine.stages),
        fixed=inputs[0],
        moving=inputs[1],
        stages=result.stages,
        quality=result.quality,
        verdict=verdict,
        faults=verdict.faults,
        seconds=seconds,
        exit_status=verdict.exit_status,
    )


def load_fitting_deformer(settings: RegisterSettings, embedding: EmbedderRecord, *, device: str) -> Deformer | None:
    """The deformation network that settings ask for; None for a preset without one.

    Raises:
        WeightsError: missing, damaged, or trained with another embedding than this one.
    """
    if settings.preset not in ("default", "best"):
        return None
    deformer = load_deformer(settings.deform, device=device)
    header = deformer.record.header
    if header.correlation and header.embedding != embedding.checksum:
        raise WeightsError(
            f"{settings.deform}: was trained with the embedding {header.embedding[:12]}..., but '{settings.embedding}' "
            f"is {embedding.checksum[:12]}...; need a deformation network trained with it "
            "(samereg train deform --embedding), or --preset fast"
        )
    return deformer


def recipe(settings: RegisterSettings, deformer: Deformer | None) -> tuple[Stage, ...]:
    """The stages that settings ask for; without the affine one if there is a transform to start from.

    Raises:
        UsageError: a start for the preset that has no other stage.
    """
    if settings.init is None:
        return whole_recipe(settings, deformer)
    if settings.preset == "affine":
        raise UsageError("Got --init with --preset affine, which finds its own; need default, best or fast.")
    return tuple(stage for stage in whole_recipe(settings, deformer) if not isinstance(stage, AffineStage))


def read_start(settings: RegisterSettings, fixed: Grid, moving: Grid) -> Transform | None:
    """The transform that settings start from, if any.

    Raises:
        UsageError: its format cannot be told.
        InputError: a file that cannot be used.
    """
    if settings.init is None:
        return None
    return read_transform_file(settings.init, format=settings.init_format, spaces=Spaces(fixed=fixed, moving=moving))


def whole_recipe(settings: RegisterSettings, deformer: Deformer | None) -> tuple[Stage, ...]:
    """The stages of the preset of settings."""
    if settings.preset == "affine":
        return affine_only(
            match_filter=settings.filter,
            affine_model=settings.affine_model,
            seed=settings.seed,
            orientation=settings.orientation,
        )
    choices: Choices = {
        "match_filter": settings.filter,
        "affine_model": settings.affine_model,
        "filler": settings.filler,
        "seed": settings.seed,
        "orientation": settings.orientation,
    }
    if deformer is None:
        return fast(**choices)
    return same_plus(deformer, **choices) if settings.preset == "best" else same(deformer, **choices)


def write_registration(result: Registration, *, fixed: Volume, moving: Volume, folder: Path) -> None:
    """Write the moved scan, both transforms and the matches into an existing folder.

    The moving scan is resampled once, through the whole transform, onto the fixed grid, in its own HU and
    dtype.
    """
    write_transform(result.transform, folder / "transform.h5")
    write_transform(result.inverse, folder / "inverse.h5")
    write_volume(resample_volume(moving, result.transform, fixed.grid), folder / "moved.nii.gz")
    write_matches(result.matches, folder / "matches.csv")
