"""Settings of the commands, each declared once with name, type, bounds, default and description.

The command line is generated from these classes, Python accepts the same names, and run records contain them. Nothing
heavy is imported, so that `--help` answers before torch is loaded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Optional, Union

from samereg.errors import UsageError
from samereg.io.format_names import PointFormatName, TransformFormatName
from samereg.validation import Count, CountOrZero, Positive, Range, Seed, accept

OptionalPath = Optional[Path]  # noqa: UP045
OptionalText = Optional[str]  # noqa: UP045
OptionalNumber = Optional[int]  # noqa: UP045
OptionalTexts = Union[None, tuple[str, ...]]  # noqa: UP007
OptionalNumbers = Union[None, tuple[int, ...]]  # noqa: UP007
"""Written this way because tyro checks the defaults of `Path | None` and of tuples by typeguard, which
imports asyncio and takes half of the time of `--help`."""

TransformFormatOrAuto = Literal["auto", TransformFormatName]
PointFormatOrAuto = Literal["auto", PointFormatName]

GUIDING = ("fixed_landmarks", "moving_landmarks", "fixed_mask", "moving_mask", "ignore_labels")
"""Settings of a registration that say what a user knows about one pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineSettings:
    """Device and threads."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto uses the first NVIDIA GPU if there is one."""

    threads: CountOrZero = 0
    """CPU threads; 0 uses all cores."""

    def __post_init__(self) -> None:
        """Validate all fields."""
        accept(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMachineSettings:
    """Device, threads and number of GPUs for training."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto uses the first NVIDIA GPU if there is one."""

    threads: CountOrZero = 0
    """CPU threads; 0 uses all cores."""

    gpus: Count = 1
    """Number of GPUs; only with --device auto or cuda."""

    def __post_init__(self) -> None:
        """Validate all fields."""
        accept(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterSettings:
    """Settings of a registration."""

    preset: Literal["default", "best", "fast", "affine"] = "default"
    """default: affine, coarse, and fine deformation by a trained network (the paper's method). best: then optimised
    on this pair. fast: affine and coarse. affine: affine only."""

    init: OptionalPath = None
    """Initial transform instead of SAM-affine, fixed to moving, in any format that `samereg convert` reads."""

    init_format: TransformFormatOrAuto = "auto"
    """File format of the initial transform, if it cannot be detected."""

    fixed_landmarks: OptionalPath = None
    """Points of the fixed scan, in any point format, whose places in the moving scan are known: the registration keeps
    them. Needs --moving-landmarks."""

    moving_landmarks: OptionalPath = None
    """The same places in the moving scan, paired by name, or by order where there are no names."""

    fixed_mask: OptionalPath = None
    """Image that is above 0 where matches and similarities count in the fixed scan."""

    moving_mask: OptionalPath = None
    """The same for the moving scan."""

    ignore_labels: OptionalNumbers = None
    """Labels of the masks that do not count; everything else does then, the background included."""

    filter: Literal["stable", "threshold"] = "stable"
    """Rejection of wrong matches: stable, by cycle consistency; threshold, by the paper's similarity threshold."""

    affine_model: Literal["affine", "rigid", "similarity"] = "affine"
    """Rigid (6 parameters), similarity (7) or affine (12)."""

    filler: Literal["regularised", "linear"] = "regularised"
    """Dense field from matches: regularised, smooth and without folding; linear, the paper's interpolation."""

    embedding: str = "compact"
    """Embedding network: name of a shipped one, or a weights file."""

    deform: str = "sam-vm"
    """Deformation network: name of a shipped one, or a weights file."""

    orientation: Literal["find", "header"] = "find"
    """find: correct scans whose header gives a wrong orientation, and refuse mirrored ones. header: trust both
    headers."""

    series: OptionalTexts = None
    """DICOM series instead of the largest one: a UID, or its beginning, for each folder, fixed first."""

    confidence: bool = False
    """Also write confidence.nii.gz: expected error in mm at every voxel of the body, -1 outside."""

    dicom: bool = False
    """Also write registration.dcm and the moved scan as a DICOM series, moved/; both scans have to be DICOM folders."""

    keep_patient: bool = False
    """Have run.json name the patients and studies of DICOM scans; without it nothing that identifies a patient does."""

    seed: Seed = 0
    """Seed of all random numbers: the same seed gives the same result."""

    machine: MachineSettings = field(default_factory=MachineSettings)
    """Device and threads."""

    def __post_init__(self) -> None:
        """Validate all fields."""
        accept(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsSettings:
    """How many pairs are registered."""

    registration: RegisterSettings = field(default_factory=RegisterSettings)
    """Of every pair; `machine.threads` are those of all workers together."""

    workers: Count = 1
    """Pairs at a time on this computer, whose processor cores are shared out among them."""

    scheduler: str = ""
    """Address of a Dask cluster to run on instead, such as tcp://HOST:8786; its workers see the same files and were
    started with `dask worker --no-nanny`."""

    store_gb: Annotated[float, Range(low=0.0, unit="GB")] = 20.0
    """Largest size of the folder store/, which keeps embeddings of scans that several pairs share; 0 keeps none."""

    time_limit: Annotated[float, Range(above=0.0, unit="s")] = 1800.0
    """Seconds after which a pair has failed."""

    retry_failed: bool = False
    """Try again pairs that failed in an earlier run."""

    def __post_init__(self) -> None:
        """Refuse impossible values, and settings that belong to one pair.

        Raises:
            UsageError: an impossible value; a start or series, which pairs do not share; two places to run at.
        """
        accept(self)
        _refuse_settings_of_one_pair(self.registration)
        if self.scheduler and self.workers > 1:
            raise UsageError(
                f"Got {self.workers} workers and the scheduler {self.scheduler}; need one of --workers, for this "
                "computer, and --scheduler, whose cluster has its own."
            )


FuseMethod = Literal["majority", "weighted", "staple"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FuseSettings:
    """How labels are fused."""

    registration: RegisterSettings = field(default_factory=RegisterSettings)
    """Of every atlas with the target."""

    method: FuseMethod = "weighted"
    """majority: every atlas has one vote. weighted: votes count by the similarity of the embeddings at each place.
    staple: each atlas is trusted as far as it agrees with the others."""

    sharpness: Positive = 20.0
    """Of the weights exp(sharpness x similarity): larger leaves the say to the most similar atlases."""

    def __post_init__(self) -> None:
        """Refuse impossible values, and settings that belong to one pair.

        Raises:
            UsageError: an impossible value, or a start or series, which atlases do not share.
        """
        accept(self)
        _refuse_settings_of_one_pair(self.registration)
        _refuse_outputs_of_one_registration(self.registration)


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowSettings:
    """How lesions are followed."""

    registration: RegisterSettings = field(default_factory=RegisterSettings)
    """Of every later scan with the baseline."""

    def __post_init__(self) -> None:
        """Refuse impossible values, and settings that belong to one pair."""
        accept(self)
        _refuse_settings_of_one_pair(self.registration)
        _refuse_outputs_of_one_registration(self.registration)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchSettings:
    """Settings of finding points."""

    candidates: Count = 1
    """Number of candidates per point, the most similar first."""

    points_format: PointFormatOrAuto = "auto"
    """File format of the points, if it cannot be detected."""

    embedding: str = "compact"
    """Embedding network: name of a shipped one, or a weights file."""

    orientation: Literal["find", "header"] = "find"
    """find: correct scans whose header gives a wrong orientation, and refuse mirrored ones. header: trust both
    headers."""

    series: OptionalTexts = None
    """DICOM series instead of the largest one: a UID, or its beginning, for each folder, fixed first."""

    seed: Seed = 0
    """Seed of all random numbers: the same seed gives the same result."""

    machine: MachineSettings = field(default_factory=MachineSettings)
    """Device and threads."""

    def __post_init__(self) -> None:
        """Validate all fields."""
        accept(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineSettings:
    """Settings of an initial affine transform for other tools."""

    model: Literal["affine", "rigid", "similarity"] = "affine"
    """Rigid (6 parameters), similarity (7) or affine (12)."""

    embedding: str = "compact"
    """Embedding network: name of a shipped one, or a weights file."""

    orientation: Literal["find", "header"] = "find"
    """find: correct scans whose header gives a wrong orientation, and refuse mirrored ones. header: trust both
    headers."""

    series: OptionalTexts = None
    """DICOM series instead of the largest one: a UID, or its beginning, for each folder, fixed first."""

    seed: Seed = 0
    """Seed of all random numbers: the same seed gives the same result."""

    machine: MachineSettings = field(default_factory=MachineSettings)
    """Device and threads."""

    def __post_init__(self) -> None:
        """Validate all fields."""
        accept(self)

    def registration(self) -> RegisterSettings:
        """Settings of the affine registration."""
        return RegisterSettings(
            preset="affine",
            affine_model=self.model,
            embedding=self.embedding,
            orientation=self.orientation,
            series=self.series,
            seed=self.seed,
            machine=self.machine,
        )


def _refuse_settings_of_one_pair(registration: RegisterSettings) -> None:
    """Refuse what several pairs cannot share.

    Raises:
        UsageError: a start or a series, landmarks or masks.
    """
    if registration.init is not None:
        raise UsageError("Got --init, a transform that belongs to one pair; many pairs begin without.")
    if registration.series is not None:
        raise UsageError(
            "Got --series, which belongs to one pair; need folders of one CT series each, or the columns fixed_series "
            "and moving_series of samereg cohort --pairs."
        )
    for name in GUIDING:
        if getattr(registration, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"Got {flag}, which belongs to one pair; guide that pair by samereg register.")


def _refuse_outputs_of_one_registration(registration: RegisterSettings) -> None:
    """Refuse what asks for files of a registration where none is written.

    Raises:
        UsageError: --dicom or --confidence.
    """
    for name in ("dicom", "confidence"):
        if getattr(registration, name):
            raise UsageError(f"Got --{name}, but this command writes no registration; leave it out, or use register.")
