"""A session: loads networks once, prepares each scan once, and registers, matches and estimates confidence."""

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from samereg.app.guiding import guidance_record, read_guidance
from samereg.app.machine import choose_device
from samereg.app.record import MachineRecord, RunRecord, describe_device, input_record, named_settings, versions
from samereg.app.run_folder import RunResult
from samereg.app.settings import MatchSettings, RegisterSettings
from samereg.app.store import ScanStore
from samereg.app.verdict import VerdictLimits, judge
from samereg.errors import UsageError, WeightsError
from samereg.estimate.deform import Deformer, load_deformer
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.checks import check_ct
from samereg.image.resample import resample_volume
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.matching.embed import Embedder, load_embedder
from samereg.ops.ambient import own_torch
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.confidence import confidence_of, expected_errors_mm
from samereg.pipeline.guidance import Guidance, LandmarkStage, StartStage
from samereg.pipeline.pair import Pair, PreparedScan
from samereg.pipeline.query import Answers, Query
from samereg.pipeline.recipes import ORIENTATIONS, preset
from samereg.pipeline.register import OnProgress, Registration, register_pair
from samereg.pipeline.stage import Stage

PRESETS_WITH_NETWORK = ("default", "best")
"""Presets that need a deformation network."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Registered:
    """A registered pair of prepared scans.

    Attributes:
        fixed: fixed scan.
        moving: moving scan.
        result: transform, inverse, matches, quality.
        record: contents of `run.json`.
        confidence: expected error in mm on the fixed scan's grid, if requested by the settings.
    """

    fixed: PreparedScan
    moving: PreparedScan
    result: Registration
    record: RunRecord
    confidence: Volume | None = None

    @property
    def transform(self) -> Transform:
        """Fixed world to moving world."""
        return self.result.transform

    @property
    def inverse(self) -> Transform:
        """Moving world to fixed world."""
        return self.result.inverse

    @cached_property
    def moved(self) -> Volume:
        """The moving scan in HU, resampled once onto the fixed scan's grid."""
        return resample_volume(self.moving.volume, self.result.transform, self.fixed.volume.grid)

    def files(self) -> RunResult:
        """Contents of its run folder."""
        return RunResult(
            moved=self.moved,
            transform=self.transform,
            inverse=self.inverse,
            matches=self.result.matches,
            record=self.record,
            confidence=self.confidence,
        )


class Session:
    """Loads networks once and prepares each scan once, for any number of queries.

    Nothing is read, resampled or embedded twice: `prepare` takes seconds per scan, and the other methods use its
    result.

    Attributes:
        device: of all computations.
        embedder: the anatomical embedding.
        store: cache of prepared scans.

    Example:
        >>> session = Session(device="cpu")
        >>> session.embedder.record.name
        'compact'
    """

    def __init__(self, *, device: str = "auto", embedding: str = "compact", store: ScanStore | None = None) -> None:
        """Load the embedding.

        Args:
            device: auto, cpu, cuda or cuda:N.
            embedding: name of a shipped embedding, or path of a trained one.
            store: cache of prepared scans; none by default.

        Raises:
            UsageError: no such device.
            WeightsError: the embedding is missing or damaged.
        """
        self.device = choose_device(device)
        self.embedder = load_embedder(embedding, device=str(self.device))
        self.store = store or ScanStore()
        self._deformers: dict[str, Deformer] = {}

    @own_torch()
    def prepare(self, volume: Volume, *, keep: bool = True) -> PreparedScan:
        """Prepares a scan: model space, body mask and embedding.

        Args:
            volume: CT in HU, as `samereg.read_volume` returns it.
            keep: whether to keep it in the store; False for scans that are used only once.

        Raises:
            NotCTError: intensities are not Hounsfield units.
            InputError: a scan that is too small or shows no body.
        """
        check_ct(volume, name=volume.source.label)
        return self.store.prepare(volume, self.embedder, keep=keep)

    @own_torch()
    def register(
        self,
        fixed: PreparedScan,
        moving: PreparedScan,
        settings: RegisterSettings | None = None,
        *,
        guidance: Guidance | None = None,
        limits: VerdictLimits | None = None,
        on_progress: OnProgress | None = None,
    ) -> Registered:
        """Registers the moving scan to the fixed scan.

        A result that exceeds a bound is returned with its faults in `record.faults`, not raised.

        Args:
            fixed: fixed scan.
            moving: moving scan.
            settings: of the registration; the embedding is that of the session.
            guidance: landmarks and masks in memory, in place of those that the settings name.
            limits: bounds of the verdict.
            on_progress: progress callback.

        Raises:
            UsageError: incompatible settings.
            InputError: landmarks or masks that cannot be used.
            NoOverlapError: too little common anatomy.
            MirroredError: one scan is a mirror image.
            WeightsError: the deformation network is missing, damaged, or belongs to another embedding.
        """
        began = time.perf_counter()
        settings, limits = settings or RegisterSettings(), limits or VerdictLimits()
        guidance = guidance or read_guidance(settings, fixed.volume, moving.volume)
        stages, start = _keeping(self.stages(settings), guidance, settings), _start(settings, fixed, moving)
        result = register_pair(
            self._pair(fixed, moving), stages=stages, start=start, guidance=guidance, on_progress=on_progress
        )
        confidence = None
        if settings.confidence:
            confidence = confidence_of(self._pair(fixed, moving), result.transform, result.turns)
        verdict = judge(result.quality, limits, (*result.turns.notes, *_lost_landmarks(result)))
        deformer = self._deformer(settings)
        record = RunRecord(
            versions=versions(),
            machine=self._machine(),
            embedding=self.embedder.record,
            deform=None if deformer is None else deformer.record,
            settings=settings,
            recipe=tuple(named_settings(stage) for stage in stages),
            fixed=input_record(fixed.volume, keep_patient=settings.keep_patient),
            moving=input_record(moving.volume, keep_patient=settings.keep_patient),
            guidance=guidance_record(guidance, result.landmarks),
            stages=result.stages,
            quality=result.quality,
            limits=limits,
            verdict=verdict,
            faults=verdict.faults,
            seconds=round(time.perf_counter() - began + fixed.seconds + moving.seconds, 3),
            exit_status=verdict.exit_status,
        )
        return Registered(fixed=fixed, moving=moving, result=result, record=record, confidence=confidence)

    @own_torch()
    def match(
        self,
        fixed: PreparedScan,
        moving: PreparedScan,
        points_mm: Float64[Tensor, "n 3"],
        settings: MatchSettings | None = None,
    ) -> Answers:
        """Finds points of the fixed scan in the moving scan, without registration.

        Args:
            fixed: scan of the points.
            moving: scan to search.
            points_mm: positions in the fixed scan, LPS+ mm.
            settings: number of candidates and orientation.

        Raises:
            NoOverlapError: too little common anatomy.
            MirroredError: one scan is a mirror image.
        """
        settings = settings or MatchSettings()
        affine = AffineStage(orientation=ORIENTATIONS[settings.orientation])
        # One more than requested, because the margin needs a second candidate.
        query = Query(candidates=max(2, settings.candidates), affine=affine)
        return query.run(self._pair(fixed, moving), points_mm)

    @own_torch()
    def confidence(self, found: Registered) -> Volume:
        """Expected error of a registration on the fixed scan's grid, mm; -1 outside the body."""
        if found.confidence is not None:
            return found.confidence
        return confidence_of(self._pair(found.fixed, found.moving), found.result.transform, found.result.turns)

    @own_torch()
    def expected_errors_mm(self, found: Registered, points_mm: Float64[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Expected error of a registration at points of the fixed scan, LPS+ mm, in mm."""
        return expected_errors_mm(self._pair(found.fixed, found.moving), found.transform, found.result.turns, points_mm)

    def stages(self, settings: RegisterSettings) -> tuple[Stage, ...]:
        """The recipe of a preset, without the affine stage if there is an initial transform.

        Raises:
            UsageError: an initial transform for a preset without other stages.
            WeightsError: the deformation network is missing, damaged, or belongs to another embedding.
        """
        stages = preset(
            settings.preset,
            self._deformer(settings),
            match_filter=settings.filter,
            affine_model=settings.affine_model,
            filler=settings.filler,
            seed=settings.seed,
            orientation=settings.orientation,
        )
        if settings.init is None:
            return stages
        if settings.preset == "affine":
            raise UsageError("Got --init with --preset affine, which computes its own; need default, best or fast.")
        return tuple(stage for stage in stages if not isinstance(stage, AffineStage))

    def deformer(self, name: str) -> Deformer:
        """A deformation network, loaded on first use.

        Raises:
            WeightsError: it is missing, damaged, or was trained with another embedding.
        """
        if name not in self._deformers:
            loaded = load_deformer(name, device=str(self.device))
            require_same_embedding(loaded, self.embedder)
            self._deformers[name] = loaded
        return self._deformers[name]

    def _deformer(self, settings: RegisterSettings) -> Deformer | None:
        return self.deformer(settings.deform) if settings.preset in PRESETS_WITH_NETWORK else None

    def _pair(self, fixed: PreparedScan, moving: PreparedScan) -> Pair:
        return Pair(fixed=fixed, moving=moving, embedder=self.embedder)

    def _machine(self) -> MachineRecord:
        name = describe_device(self.device)
        return MachineRecord(device=str(self.device), name=name, threads=torch.get_num_threads())


def require_same_embedding(deformer: Deformer, embedder: Embedder) -> None:
    """Checks that a deformation network was trained with an embedding.

    Raises:
        WeightsError: it was trained with another one.
    """
    header, embedding = deformer.record.header, embedder.record
    if header.correlation and header.embedding != embedding.checksum:
        raise WeightsError(
            f"{deformer.record.name}: was trained with the embedding {header.embedding[:12]}..., but "
            f"'{embedding.name}' is {embedding.checksum[:12]}...; need a deformation network trained with it "
            "(samereg train deform --embedding), or --preset fast"
        )


def _keeping(stages: tuple[Stage, ...], guidance: Guidance, settings: RegisterSettings) -> tuple[Stage, ...]:
    """The stages, with what keeps landmarks before and after them."""
    if not len(guidance.landmarks):
        return stages
    first = (StartStage(),) if settings.init is not None else ()
    return (*first, *stages, LandmarkStage())


def _lost_landmarks(result: Registration) -> tuple[str, ...]:
    """What the last stage says if it could not keep every landmark, as a note for the verdict."""
    return tuple(
        stage.outcome.message
        for stage in result.stages
        if stage.name == LandmarkStage().name and not stage.outcome.converged
    )


def _start(settings: RegisterSettings, fixed: PreparedScan, moving: PreparedScan) -> Transform | None:
    """The initial transform of the settings, if any."""
    if settings.init is None:
        return None
    named = None if settings.init_format == "auto" else settings.init_format
    spaces = Spaces(
        fixed=fixed.volume.grid,
        moving=moving.volume.grid,
        fixed_source=fixed.volume.source,
        moving_source=moving.volume.source,
    )
    return read_transform_file(settings.init, format=named, spaces=spaces)
