"""Registration from Python, of whatever holds an image: a path, SimpleITK, nibabel, or an array with its affine."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from samereg.app.guiding import read_guidance
from samereg.app.progress import OnProgress
from samereg.app.record import RunRecord
from samereg.app.resampling import LABEL_MODES, moved_labels, resample_image
from samereg.app.run_folder import RUN_FILES, RunFolder, RunResult, require_dicom
from samereg.app.scans import read_scan, series_of_pair
from samereg.app.session import Session
from samereg.app.settings import RegisterSettings
from samereg.errors import InputError, UsageError
from samereg.geometry.grid import Grid
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.geometry.volume import IN_MEMORY, Volume
from samereg.image.label_likeness import label_likeness
from samereg.io.atomic import atomic_directory
from samereg.io.memory import ImageLike, of_kind, to_labels, to_volume
from samereg.io.transforms import write_transform
from samereg.matching.matches import Matches
from samereg.ops.ambient import own_torch, plain_torch
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import register as run_stages  # noqa: F401 - a public name
from samereg.validation import changed

_LOG = logging.getLogger(__name__)

IMAGE_MODES = ("linear", "nearest")

Points = NDArray[Any] | Sequence[Sequence[float]] | Tensor
Frame = Literal["LPS", "RAS"]


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
            UsageError: an unknown frame, or what is not numbers.
            InputError: not n x 3 finite numbers.
        """
        _require_one_of("frame", frame, get_args(Frame))
        points = _world_points(points_mm)
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
        volume = to_volume(image)
        if interpolation == "linear" and label_likeness(volume.data[0]).is_labels:
            _LOG.warning("the image looks like a label map, and linear interpolation mixes labels: apply_to_labels")
        moved = resample_image(volume, self.map, self._target(reference), mode=interpolation)
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
        moved, _ = moved_labels(to_labels(labels), self.map, target, mode=LABEL_MODES[interpolation])
        return of_kind(moved, labels)

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
        sources: where the fixed and the moving scan came from.
    """

    moved: ImageLike
    transform: PairTransform
    inverse: PairTransform
    matches: Matches
    record: RunRecord
    confidence: ImageLike | None = None
    sources: tuple[Source, Source] = (IN_MEMORY, IN_MEMORY)

    @property
    def quality(self) -> Quality:
        """What was measured of the result without labels."""
        return self.record.quality

    @plain_torch()
    def save(self, folder: str | Path, *, overwrite: bool = False, dicom: bool = False) -> None:
        """Write what `samereg register` writes: moved scan, both transforms, matches and the run record.

        Args:
            folder: where the files go.
            overwrite: into a folder that holds something.
            dicom: write `registration.dcm` and the DICOM series `moved/` too; by default only if the registration was
                asked for them by ``dicom=True``.

        Raises:
            UsageError: the folder holds something and `overwrite` is off.
            InputError: DICOM is asked for, and a scan is none.
            FileError: the folder cannot be written.
        """
        result = RunResult(
            moved=to_volume(self.moved),
            transform=self.transform.map,
            inverse=self.inverse.map,
            matches=self.matches,
            record=self.record,
            confidence=None if self.confidence is None else to_volume(self.confidence),
        )
        dicom = dicom or self.record.settings.dicom
        if dicom:
            require_dicom(*self.sources)
        with atomic_directory(Path(folder), overwrite=overwrite, ours=RUN_FILES) as place:
            RunFolder(place).write(result)
            if dicom:
                RunFolder(place).write_dicom(result, fixed=self.sources[0], moving=self.sources[1])


@own_torch()
def register(
    fixed: ImageLike,
    moving: ImageLike,
    settings: RegisterSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> RegisteredPair:
    """Align the moving CT scan with the fixed one.

    Unlike the command it leaves torch's threads and random state alone. A result that breaks a quality bound is
    returned with its faults in `record.faults`, not raised. To ask more than once about the same scans, use a
    `Session`.

    Args:
        fixed: scan that stays: a path (file, or folder of DICOM slices), a SimpleITK or nibabel image, an array
            (i, j, k) with its 4 x 4 voxel-to-RAS affine, or a `Volume`; in Hounsfield units, on any grid.
        moving: scan to be aligned with it, of the same or another kind.
        settings: everything else; the defaults of `samereg register` if not given.
        on_progress: told about each step.
        changes: single settings by name, as the flags of `samereg register`: ``preset="fast"``, ``device="cpu"``,
            ``init="start.h5"``.

    Raises:
        UsageError: no image, no such device, or a setting that does not exist or is impossible.
        InputError: a scan, landmarks or a mask that cannot be used.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
        WeightsError: weights that are missing, damaged, or do not belong together.
    """
    settings = changed(settings or RegisterSettings(), changes)
    if settings.machine.threads:
        torch.set_num_threads(settings.machine.threads)
    session = Session(device=settings.machine.device, embedding=settings.embedding)
    series = _series(fixed, moving, settings)
    volumes = _scan(fixed, "the fixed scan", series[0]), _scan(moving, "the moving scan", series[1])
    if settings.dicom:
        require_dicom(*(volume.source for volume in volumes))
    # Weights, landmarks and masks that do not fit are found before the scans are embedded.
    session.stages(settings)
    guidance = read_guidance(settings, *volumes)
    first, second = (session.prepare(volume) for volume in volumes)
    found = session.register(first, second, settings, guidance=guidance, on_progress=on_progress)
    return RegisteredPair(
        moved=of_kind(found.moved, moving),
        transform=PairTransform(map=found.transform, grid=first.volume.grid),
        inverse=PairTransform(map=found.inverse, grid=second.volume.grid),
        matches=found.result.matches,
        record=found.record,
        confidence=None if found.confidence is None else of_kind(found.confidence, fixed),
        sources=(volumes[0].source, volumes[1].source),
    )


def _series(fixed: ImageLike, moving: ImageLike, settings: RegisterSettings) -> tuple[str | None, str | None]:
    """DICOM series of both scans; a scan in memory has none."""
    nowhere = Path()  # no folder is asked about for an image in memory
    paths = [Path(image) if isinstance(image, str | Path) else nowhere / "memory" for image in (fixed, moving)]
    return series_of_pair(paths[0], paths[1], settings.series or ())


def _scan(image: ImageLike, name: str, series: str | None) -> Volume:
    """A scan of any kind."""
    return read_scan(Path(image), series=series) if isinstance(image, str | Path) else to_volume(image, name=name)


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"Got {name}={value!r}; need one of {', '.join(map(repr, allowed))}.")


def _world_points(points_mm: object) -> Float64[Tensor, "n 3"]:
    """Points of any array library, or of lists and tuples, as a tensor of their own.

    Raises:
        UsageError: not numbers, or rows of different lengths.
        InputError: not n x 3 finite numbers.
    """
    if isinstance(points_mm, Tensor):
        given = points_mm.detach().cpu()
        points_mm = (given if given.is_complex() else given.double()).numpy()
    try:
        array = np.ma.asanyarray(points_mm) if np.ma.isMaskedArray(points_mm) else np.asarray(points_mm)
        # Not by numpy, which would take None for NaN and text for its number.
        if array.dtype == object and all(isinstance(value, Real) for value in array.flat):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError("points: are not an array of numbers; need n x 3 positions in mm.") from error
    if array.dtype.kind not in "iuf" or np.ma.is_masked(array):
        raise UsageError(f"points: hold {array.dtype.name} or masked values; need n x 3 numbers in mm.")
    points = torch.tensor(np.asarray(array, dtype=np.float64))
    if points.ndim != 2 or points.shape[1] != 3 or not bool(torch.isfinite(points).all()):
        raise InputError(f"points: got an array of shape {tuple(points.shape)}; need n x 3 finite numbers in mm.")
    return points


def _flipped(points_mm: Float64[Tensor, "n 3"], frame: Frame) -> Float64[Tensor, "n 3"]:
    """LPS+ points in a frame, or the other way round: the flip is its own inverse."""
    return points_mm * points_mm.new_tensor([-1.0, -1.0, 1.0]) if frame == "RAS" else points_mm
