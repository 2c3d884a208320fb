"""Registration from Python, of whatever holds an image: a path, SimpleITK, nibabel, or an array with its affine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args, get_origin, get_type_hints

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from samereg.app.machine import MachineSettings, choose_device
from samereg.app.match_table import write_matches
from samereg.app.progress import OnProgress
from samereg.app.record import REGISTRATION_FILES, InputRecord, input_record, memory_record, write_json
from samereg.app.registration import (
    CONFIDENCE_FILE,
    RegisterSettings,
    RunRecord,
    load_engine,
    run_record,
)
from samereg.app.resampling import LABEL_MODES, resample_image
from samereg.app.scans import naming_bodiless, read_scan
from samereg.errors import InputError, UsageError
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.checks import check_ct
from samereg.image.resample import resample_labels, resample_volume
from samereg.io.atomic import atomic_directory
from samereg.io.images import write_volume
from samereg.io.memory import ImageLike, of_kind, to_labels, to_volume
from samereg.io.transforms import write_transform
from samereg.matching.matches import Matches
from samereg.ops.ambient import own_torch, plain_torch
from samereg.pipeline.confidence import confidence_of
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import register as run_stages

IMAGE_MODES = ("linear", "nearest")

Points = NDArray[Any] | Sequence[Sequence[float]] | Tensor
Frame = Literal["LPS", "RAS"]


class RegisterChoices(TypedDict, total=False):
    """Choices of `samereg register`, by the names of its flags; see `RegisterSettings`."""

    preset: Literal["default", "best", "fast", "affine"]
    filter: Literal["stable", "threshold"]
    affine_model: Literal["affine", "rigid", "similarity"]
    filler: Literal["regularised", "linear"]
    embedding: str
    deform: str
    orientation: Literal["find", "header"]
    confidence: bool
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairTransform:
    """The map between two scans, and the grid that it carries images onto.

    Points go the way of the map; images, which are pulled back, go the other way: the `transform` of a
    registration takes points of the fixed scan to the moving scan, and images of the moving scan onto the fixed
    scan's grid. `inverse` does the opposite of both.

    Attributes:
        map: the map of world points, LPS+ mm, as the rest of samereg takes it.
        grid: where images land unless another is asked for.
    """

    map: Transform
    grid: Grid

    @plain_torch()
    def apply_to_points(self, points_mm: Points, *, frame: Frame = "LPS") -> NDArray[np.float64]:
        """Where points of one scan lie in the other.

        Args:
            points_mm: n x 3 world positions (x, y, z) in mm. LPS+ unless said otherwise, also when the images came
                from nibabel: its affines and 3D Slicer's display are RAS+, in which x and y have the other sign.
            frame: of the points given and returned.

        Returns:
            n x 3 positions, in the order given.

        Raises:
            UsageError: an unknown frame.
            InputError: not n x 3 finite numbers.
        """
        _require_one_of("frame", frame, get_args(Frame))
        points = torch.as_tensor(np.asarray(points_mm, dtype=np.float64))
        if points.ndim != 2 or points.shape[1] != 3 or not bool(torch.isfinite(points).all()):
            raise InputError(f"points: got an array of shape {tuple(points.shape)}; need n x 3 finite numbers in mm.")
        found: NDArray[np.float64] = _flipped(self.map.apply(_flipped(points, frame)), frame).numpy()
        return found

    @plain_torch()
    def apply_to_image(
        self,
        image: ImageLike,
        *,
        reference: ImageLike | None = None,
        interpolation: Literal["linear", "nearest"] = "linear",
    ) -> ImageLike:
        """An image carried over, resampled once, as the kind and with the data type it came in.

        Args:
            image: any image in the space that the map's points land in: of the moving scan for `transform`.
            reference: image whose grid the result takes; `grid` by default.
            interpolation: between voxels.

        Raises:
            UsageError: no image, or an unknown interpolation.
            InputError: an image that cannot be used.
        """
        _require_one_of("interpolation", interpolation, IMAGE_MODES)
        moved = resample_image(to_volume(image), self.map, self._target(reference), mode=interpolation)
        return of_kind(moved, image)

    @plain_torch()
    def apply_to_labels(
        self,
        labels: ImageLike,
        *,
        reference: ImageLike | None = None,
        interpolation: Literal["nearest", "label-linear"] = "nearest",
    ) -> ImageLike:
        """A label map carried over, as the kind and with the data type it came in; no label is invented.

        Args:
            labels: whole numbers in the space that the map's points land in: of the moving scan for `transform`.
            reference: image whose grid the result takes; `grid` by default.
            interpolation: `label-linear` interpolates each label and takes the strongest: smoother borders.

        Raises:
            UsageError: no label map, or an unknown interpolation.
            InputError: a label map that cannot be used.
        """
        _require_one_of("interpolation", interpolation, tuple(LABEL_MODES))
        target = self._target(reference)
        return of_kind(resample_labels(to_labels(labels), self.map, target, mode=LABEL_MODES[interpolation]), labels)

    @plain_torch()
    def save(self, path: str | Path) -> None:
        """Write the map as an ITK composite transform, `.h5` or `.tfm`."""
        write_transform(self.map, path)

    def _target(self, reference: ImageLike | None) -> Grid:
        return self.grid if reference is None else to_volume(reference, name="the reference").grid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegisteredPair:
    """Two scans brought together.

    Attributes:
        moved: the moving scan on the fixed scan's grid, as the kind that the moving scan came in; a `Volume` if that
            was a path.
        transform: fixed points to moving points, moving images onto the fixed grid.
        inverse: moving points to fixed points, fixed images onto the moving grid.
        matches: matched points, of the last stage that matched, LPS+ mm.
        record: what `run.json` says: settings, versions, quality, and in `faults` a sentence for each bound that the
            result breaks; a result with faults is not to be trusted.
        confidence: expected error in mm on the fixed scan's grid, -1 outside the body, as the kind that the fixed scan
            came in; None unless asked for by ``confidence=True``.
    """

    moved: ImageLike
    transform: PairTransform
    inverse: PairTransform
    matches: Matches
    record: RunRecord
    confidence: ImageLike | None = None

    @property
    def quality(self) -> Quality:
        """What was measured of the result without labels."""
        return self.record.quality

    @plain_torch()
    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write what `samereg register` writes: moved scan, both transforms, matches and the run record.

        Raises:
            UsageError: the folder holds something and `overwrite` is off.
            FileError: the folder cannot be written.
        """
        with atomic_directory(Path(folder), overwrite=overwrite, ours=REGISTRATION_FILES) as place:
            self.transform.save(place / "transform.h5")
            self.inverse.save(place / "inverse.h5")
            write_volume(to_volume(self.moved), place / "moved.nii.gz")
            write_matches(self.matches, place / "matches.csv")
            if self.confidence is not None:
                write_volume(to_volume(self.confidence), place / CONFIDENCE_FILE)
            write_json(self.record, place / "run.json")


@own_torch()
def register(
    fixed: ImageLike,
    moving: ImageLike,
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
    **choices: Unpack[RegisterChoices],
) -> RegisteredPair:
    """Align the moving CT scan with the fixed one.

    Unlike the command it leaves torch's threads and random state alone. A result that breaks a quality bound is
    returned with its faults in `record.faults`, not raised.

    Args:
        fixed: scan that stays: a path (file, or folder of DICOM slices), a SimpleITK or nibabel image, an array
            (i, j, k) with its 4 x 4 voxel-to-RAS affine, or a `Volume`; in Hounsfield units, on any grid.
        moving: scan to be aligned with it, of the same or another kind.
        device: auto, cpu, cuda or cuda:N.
        on_progress: told about each step.
        choices: as the flags of `samereg register`, for example ``preset="fast"``.

    Raises:
        UsageError: no image, no such device, or a choice that does not exist.
        InputError: a scan that cannot be used.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
        WeightsError: weights that are missing, damaged, or do not belong together.
    """
    began = time.perf_counter()
    for name, allowed in _named_choices().items():
        if name in choices:
            _require_one_of(name, choices.get(name), allowed)
    settings = RegisterSettings(machine=MachineSettings(device=device), **choices)
    engine = load_engine(settings, device=choose_device(device))
    first, second = _scan(fixed, "the fixed scan"), _scan(moving, "the moving scan")
    with naming_bodiless(first.named, second.named):
        result = run_stages(
            first.volume, second.volume, stages=engine.stages, embedder=engine.embedder, on_progress=on_progress
        )
    moved = resample_volume(second.volume, result.transform, first.volume.grid)
    confidence = None
    if settings.confidence:
        error_mm = confidence_of(first.volume, second.volume, result.transform, engine.embedder, result.turns)
        confidence = of_kind(error_mm, fixed)
    seconds = round(time.perf_counter() - began, 3)
    record = run_record(result, engine, settings=settings, inputs=(first.record, second.record), seconds=seconds)
    return RegisteredPair(
        moved=of_kind(moved, moving),
        transform=PairTransform(map=result.transform, grid=first.volume.grid),
        inverse=PairTransform(map=result.inverse, grid=second.volume.grid),
        matches=result.matches,
        record=record,
        confidence=confidence,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Scan:
    name: str
    volume: Volume
    record: InputRecord

    @property
    def named(self) -> tuple[Path, Volume]:
        return Path(self.name), self.volume


def _scan(image: ImageLike, name: str) -> _Scan:
    """A scan of any kind, checked, with what the run record says of it."""
    if isinstance(image, str | Path):
        volume = read_scan(Path(image))
        return _Scan(name=str(image), volume=volume, record=input_record(Path(image), volume.grid))
    volume = to_volume(image, name=name)
    check_ct(volume, name=name)
    return _Scan(name=name, volume=volume, record=memory_record(volume.grid))


def _named_choices() -> dict[str, tuple[object, ...]]:
    """Choices that are one of a few names, with these names."""
    hints = get_type_hints(RegisterChoices)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"Got {name}={value!r}; need one of {', '.join(map(repr, allowed))}.")


def _flipped(points_mm: Float64[Tensor, "n 3"], frame: Frame) -> Float64[Tensor, "n 3"]:
    """LPS+ points in a frame, or the other way round: the flip is its own inverse."""
    return points_mm * points_mm.new_tensor([-1.0, -1.0, 1.0]) if frame == "RAS" else points_mm
