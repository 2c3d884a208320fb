"""Python API of registration, for paths, SimpleITK and nibabel images, and arrays with an affine."""

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
from samereg.image.label_detection import detect_labels
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
    """The map between two scans, and the output grid of resampled images.

    Points are mapped forward; images are pulled back, in the other direction: the `transform` of a
    registration maps points of the fixed scan to the moving scan, and images of the moving scan onto the fixed
    scan's grid. `inverse` does the opposite of both.

    Attributes:
        map: the transform of world points, LPS+ mm.
        grid: default output grid of images.
    """

    map: Transform
    grid: Grid

    @plain_torch()
    def apply_to_points(self, points_mm: Points, *, frame: Frame = "LPS") -> NDArray[np.float64]:
        """Maps points of one scan to the other.

        Args:
            points_mm: n x 3 world positions (x, y, z) in mm. LPS+ by default, even if the images came
                from nibabel, whose affines are RAS+ like 3D Slicer's display, with x and y negated.
            frame: of the input and output points.

        Returns:
            n x 3 positions, in input order.

        Raises:
            UsageError: an unknown frame, or not numbers.
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
        """Resamples an image once; the result has its type and data type.

        Args:
            image: any image in the target space of the map: that of the moving scan for `transform`.
            reference: image that defines the output grid; `grid` by default.
            interpolation: method.

        Raises:
            UsageError: not an image, or an unknown interpolation.
            InputError: an invalid image.
        """
        _require_one_of("interpolation", interpolation, IMAGE_MODES)
        volume = to_volume(image)
        if interpolation == "linear" and detect_labels(volume.data[0]).is_labels:
            _LOG.warning("the image looks like a label map, whose labels interpolation would mix; use apply_to_labels")
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
        """Resamples a label map; the result has its type and data type, and no new labels.

        Args:
            labels: whole numbers in the target space of the map: that of the moving scan for `transform`.
            reference: image that defines the output grid; `grid` by default.
            interpolation: `label-linear` interpolates each label and takes the maximum: smoother borders.

        Raises:
            UsageError: not a label map, or an unknown interpolation.
            InputError: an invalid label map.
        """
        _require_one_of("interpolation", interpolation, tuple(LABEL_MODES))
        target = self._target(reference)
        moved, _ = moved_labels(to_labels(labels), self.map, target, mode=LABEL_MODES[interpolation])
        return of_kind(moved, labels)

    @plain_torch()
    def save(self, path: str | Path) -> None:
        """Writes the map as an ITK composite transform, `.h5` or `.tfm`."""
        write_transform(self.map, path)

    def _target(self, reference: ImageLike | None) -> Grid:
        return self.grid if reference is None else to_volume(reference, name="the reference").grid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegisteredPair:
    """Result of registering two scans.

    Attributes:
        moved: the moving scan on the fixed scan's grid, of the same type as the moving scan; a `Volume` if that
            was a path.
        transform: fixed points to moving points, moving images onto the fixed grid.
        inverse: moving points to fixed points, fixed images onto the moving grid.
        matches: of the last matching stage, LPS+ mm.
        record: contents of `run.json`: settings, versions, quality, and in `faults` a sentence for each bound that the
            result exceeds; do not use a result with faults.
        confidence: expected error in mm on the fixed scan's grid, -1 outside the body, of the same type as the fixed
            scan; None unless ``confidence=True``.
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
        """Quality measures that need no labels."""
        return self.record.quality

    @plain_torch()
    def save(self, folder: str | Path, *, overwrite: bool = False, dicom: bool = False) -> None:
        """Writes the files of `samereg register`: moved scan, both transforms, matches and the run record.

        Args:
            folder: of the files.
            overwrite: into a folder that holds something.
            dicom: write `registration.dcm` and the DICOM series `moved/` too; by default only if the registration was
                asked for them by ``dicom=True``.

        Raises:
            UsageError: the folder is not empty and `overwrite` is false.
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
    """Registers the moving CT scan to the fixed one.

    Unlike the command, it does not change torch's threads and random state. A result that exceeds a quality bound is
    returned with its faults in `record.faults`, not raised. For several queries on the same scans, use a
    `Session`.

    Args:
        fixed: fixed scan: a path (file, or folder of DICOM slices), a SimpleITK or nibabel image, an array
            (i, j, k) with its 4 x 4 voxel-to-RAS affine, or a `Volume`; in Hounsfield units, on any grid.
        moving: scan to align with the fixed one, of the same or another type.
        settings: all other settings; by default those of `samereg register`.
        on_progress: progress callback.
        changes: individual settings by name, like the flags of `samereg register`: ``preset="fast"``, ``device="cpu"``,
            ``init="start.h5"``.

    Raises:
        UsageError: not an image, no such device, or an unknown or invalid setting.
        InputError: a scan, landmarks or a mask that cannot be used.
        NoOverlapError: too little common anatomy.
        MirroredError: one scan is a mirror image.
        WeightsError: weights are missing, damaged, or incompatible.
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
    """DICOM series of both scans; None for scans in memory."""
    nowhere = Path()  # images in memory have no folder
    paths = [Path(image) if isinstance(image, str | Path) else nowhere / "memory" for image in (fixed, moving)]
    return series_of_pair(paths[0], paths[1], settings.series or ())


def _scan(image: ImageLike, name: str, series: str | None) -> Volume:
    """Reads a scan of any accepted type."""
    return read_scan(Path(image), series=series) if isinstance(image, str | Path) else to_volume(image, name=name)


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"Got {name}={value!r}; need one of {', '.join(map(repr, allowed))}.")


def _world_points(points_mm: object) -> Float64[Tensor, "n 3"]:
    """Copies points of any array library, or of lists and tuples, to a tensor.

    Raises:
        UsageError: not numbers, or rows of different lengths.
        InputError: not n x 3 finite numbers.
    """
    if isinstance(points_mm, Tensor):
        given = points_mm.detach().cpu()
        points_mm = (given if given.is_complex() else given.double()).numpy()
    try:
        array = np.ma.asanyarray(points_mm) if np.ma.isMaskedArray(points_mm) else np.asarray(points_mm)
        # Not by NumPy, which converts None to NaN and strings to numbers.
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
    """Converts points from LPS+ to a frame or back: the conversion is its own inverse."""
    return points_mm * points_mm.new_tensor([-1.0, -1.0, 1.0]) if frame == "RAS" else points_mm
