"""Carries an image or a label map, given by path, onto another grid through a transform file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from samereg.app.record import InputRecord, input_record
from samereg.errors import UsageError
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import LabelMode, lost_labels, resample_labels, resample_volume
from samereg.io.atomic import atomic_file
from samereg.io.images import read_labels, read_volume, write_labels, write_volume
from samereg.io.transforms import read_transform

Interpolation = Literal["auto", "linear", "nearest", "label-linear"]

MOST_LABELS = 256
"""An integer image with at most this many different values, none negative, is taken for a label map."""

LABEL_MODES: dict[Literal["nearest", "label-linear"], LabelMode] = {
    "nearest": "nearest",
    "label-linear": "per_label_linear",
}

LOWEST_OF_CT_HU = -500.0
"""An image whose lowest value is above this holds no air, so -1024 means nothing in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """What was written.

    Attributes:
        transform: file that was applied.
        input: image or label map that was resampled.
        reference: image whose grid was taken.
        output: file that was written.
        interpolation: as used.
        background: value of voxels that lie outside the input.
        lost_labels: labels of the input that no voxel of the output has.
    """

    transform: Path
    input: InputRecord
    reference: InputRecord
    output: Path
    interpolation: str
    background: float
    lost_labels: tuple[int, ...]


def apply_file(
    transform_path: Path,
    input_path: Path,
    output: Path,
    *,
    reference_path: Path,
    interpolation: Interpolation = "auto",
    overwrite: bool = False,
) -> AppliedRecord:
    """Resample an image or a label map once, through a transform, onto the grid of a reference, and write it.

    The output keeps the input's data type. The transform maps the reference's world to the input's world.

    Args:
        transform_path: any transform file that can be read.
        input_path: image or label map in the moving space.
        output: file to write.
        reference_path: image on the wanted grid, in the fixed space.
        interpolation: `auto` takes `nearest` for label maps and `linear` for everything else.
        overwrite: replace `output` if it exists.

    Raises:
        UsageError: `output` exists.
        InputError: a file that cannot be used.
    """
    refuse_existing(output, overwrite=overwrite)
    transform = read_transform(transform_path)
    grid = read_volume(reference_path).grid
    image = read_volume(input_path)
    chosen = choose_interpolation(image) if interpolation == "auto" else interpolation
    with atomic_file(output) as path:
        if chosen == "label-linear" or (chosen == "nearest" and is_integer(image)):
            background = 0.0
            lost = write_moved_labels(read_labels(input_path), transform, grid, mode=chosen, path=path)
        else:
            background, lost = background_of(image), ()
            write_volume(resample_image(image, transform, grid, mode=chosen), path)
    return AppliedRecord(
        transform=transform_path,
        input=input_record(input_path, image.grid),
        reference=input_record(reference_path, grid),
        output=output,
        interpolation=chosen,
        background=background,
        lost_labels=lost,
    )


def choose_interpolation(image: Volume) -> Literal["linear", "nearest"]:
    """`nearest` for what looks like a label map: an integer file, nothing negative, few different values."""
    if not is_integer(image) or float(image.data.min()) < 0:
        return "linear"
    return "nearest" if len(image.data.unique()) <= MOST_LABELS else "linear"


def is_integer(image: Volume) -> bool:
    """Whether an image was stored as whole numbers."""
    return image.stored_dtype.startswith(("int", "uint"))


def background_of(image: Volume) -> float:
    """Value for voxels outside an image: its padding value if it is a CT, otherwise its lowest value."""
    lowest = float(image.data.min())
    return image.background if lowest <= LOWEST_OF_CT_HU else lowest


def resample_image(
    image: Volume, transform: Transform, grid: Grid, *, mode: Literal["linear", "nearest"] = "linear"
) -> Volume:
    """An image on another grid, with `background_of` where it has no voxel."""
    return resample_volume(replace(image, background=background_of(image)), transform, grid, mode=mode)


def write_moved_labels(
    labels: LabelMap,
    transform: Transform,
    grid: Grid,
    *,
    mode: Literal["nearest", "label-linear"],
    path: Path,
) -> tuple[int, ...]:
    """Write a label map on another grid; the labels that were lost on the way are returned."""
    moved = resample_labels(labels, transform, grid, mode=LABEL_MODES[mode])
    write_labels(moved, path)
    return lost_labels(labels, moved)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file.

    Raises:
        UsageError: `path` exists and `overwrite` is off.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already; give another output or --overwrite")
