"""Carries images and label maps, given by path, onto another grid through a transform file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from samereg.app.jacobian import volume_change
from samereg.app.overwriting import claimed_outputs
from samereg.app.record import InputRecord, file_record
from samereg.errors import UsageError
from samereg.geometry.domain import field_grid
from samereg.geometry.grid import Grid, respaced
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.resample import ImageMode, LabelMode, lost_labels, resample_labels, resample_volume
from samereg.io.channels import has_channels, read_channels, write_channels
from samereg.io.format_names import TransformFormatName
from samereg.io.images import (
    name_to_write,
    read_grid,
    read_labels,
    read_volume,
    stored_numbers,
    write_labels,
    write_volume,
)
from samereg.io.transform_files import TRANSFORM_FORMATS, read_transform_file
from samereg.io.transform_formats.spaces import Spaces

Interpolation = Literal["auto", "linear", "cubic", "sinc", "nearest", "label-linear"]

MOST_LABELS = 256
"""An integer image with at most this many different values, none negative, is taken for a label map."""

LABEL_MODES: dict[Literal["nearest", "label-linear"], LabelMode] = {
    "nearest": "nearest",
    "label-linear": "per_label_linear",
}

LOWEST_OF_CT_HU = -500.0
"""An image whose lowest value is above this holds no air, so -1024 means nothing in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplySettings:
    """How images are carried over.

    Attributes:
        reference: image on the wanted grid, in the fixed space.
        spacing_mm: another spacing over the same box, one number or three along (d, h, w); without a reference, over
            the box of the transform's field.
        interpolation: `auto` takes `nearest` for label maps and `linear` for everything else.
        modulate: multiply by the local change of volume, so that mass is kept; of a CT, mass is HU + 1000.
        transform_format: of the transform; None tells it from the file.
    """

    reference: Path | None = None
    spacing_mm: tuple[float, ...] = ()
    interpolation: Interpolation = "auto"
    modulate: bool = False
    transform_format: TransformFormatName | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """What was written.

    Attributes:
        transform: file that was applied.
        input: image or label map that was resampled.
        reference: image whose grid was taken, if any.
        output: file that was written.
        interpolation: as used.
        background: value of voxels that lie outside the input.
        lost_labels: labels of the input that no voxel of the output has.
    """

    transform: Path
    input: InputRecord
    reference: InputRecord | None
    output: Path
    interpolation: str
    background: float
    lost_labels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Way:
    """A transform that was read, the grid it leads to, and what intensities are multiplied by there."""

    transform: Transform
    grid: Grid
    volume_change: Float[Tensor, "d h w"] | None


def apply_files(
    transform_path: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    settings: ApplySettings,
    overwrite: bool = False,
) -> tuple[AppliedRecord, ...]:
    """Resample images and label maps once each, through one transform onto one grid, and write them.

    Outputs keep the data types and the descriptive header entries of their inputs. The transform maps the reference's
    world to the inputs' world.

    Args:
        transform_path: any transform file that can be read.
        inputs: images or label maps in the moving space; 4-D images and images of vectors channel by channel.
        output: file to write; for several inputs a folder, in which each keeps its name.
        settings: everything else.
        overwrite: replace files that exist.

    Raises:
        UsageError: an output exists, or settings that do not go together.
        InputError: a file that cannot be used.
    """
    outputs = (
        [output] if len(inputs) == 1 and not output.is_dir() else [output / name_to_write(path) for path in inputs]
    )
    with claimed_outputs(*outputs, overwrite=overwrite):
        way = _read_way(transform_path, inputs[0], settings)
        reference = (
            None if settings.reference is None else file_record(settings.reference, read_grid(settings.reference))
        )
        records = []
        for path, target in zip(inputs, outputs, strict=True):
            applied = _apply_channels if has_channels(path) else _apply_volume
            grid, chosen, background, lost = applied(path, target, way, settings)
            records.append(
                AppliedRecord(
                    transform=transform_path,
                    input=file_record(path, grid),
                    reference=reference,
                    output=target,
                    interpolation=chosen,
                    background=background,
                    lost_labels=lost,
                )
            )
    return tuple(records)


def apply_file(
    transform_path: Path,
    input_path: Path,
    output: Path,
    *,
    reference_path: Path,
    interpolation: Interpolation = "auto",
    overwrite: bool = False,
) -> AppliedRecord:
    """One image or label map onto the grid of a reference; see `apply_files`."""
    settings = ApplySettings(reference=reference_path, interpolation=interpolation)
    (record,) = apply_files(transform_path, (input_path,), output, settings=settings, overwrite=overwrite)
    return record


def output_grid(reference: Path | None, spacing_mm: tuple[float, ...], transform: Transform) -> Grid:
    """Grid of the reference, at another spacing if one is given; without a reference, over the transform's field.

    Raises:
        UsageError: neither, a spacing of two numbers, or a spacing alone for a transform without a field.
        InputError: a reference that cannot be used.
    """
    grid = field_grid(transform) if reference is None else read_grid(reference)
    if grid is None or (reference is None and not spacing_mm):
        raise UsageError("Got no grid for the output; need --reference (or --spacing, if the transform has a field).")
    if not spacing_mm:
        return grid
    if len(spacing_mm) not in (1, 3):
        raise UsageError(f"Got {len(spacing_mm)} numbers as --spacing; need one, or three along (d, h, w).")
    d, h, w = spacing_mm if len(spacing_mm) == 3 else spacing_mm * 3
    return respaced(grid, (d, h, w))


def _read_way(transform_path: Path, first_input: Path, settings: ApplySettings) -> _Way:
    spaces = Spaces(
        fixed=None if settings.reference is None else read_grid(settings.reference),
        moving=read_grid(first_input) if _needs_moving(settings.transform_format) else None,
    )
    transform = read_transform_file(transform_path, format=settings.transform_format, spaces=spaces)
    grid = output_grid(settings.reference, settings.spacing_mm, transform)
    change = volume_change(transform, grid) if settings.modulate else None
    return _Way(transform=transform, grid=grid, volume_change=change)


def _needs_moving(format: TransformFormatName | None) -> bool:
    return format is not None and "moving" in TRANSFORM_FORMATS[format].needs


_Applied = tuple[Grid, str, float, tuple[int, ...]]
"""Grid of the input, interpolation, background and lost labels."""


def _apply_volume(path: Path, target: Path, way: _Way, settings: ApplySettings) -> _Applied:
    image = read_volume(path)
    chosen = choose_interpolation(image) if settings.interpolation == "auto" else settings.interpolation
    if chosen == "label-linear" or (chosen == "nearest" and is_integer(image)):
        if way.volume_change is not None:
            raise UsageError(f"{path}: is taken for labels, which --modulate cannot multiply; name --interpolation.")
        lost = write_moved_labels(path, way.transform, way.grid, mode=chosen, output=target)
        return image.grid, chosen, 0.0, lost
    moved = resample_image(image, way.transform, way.grid, mode=chosen)
    if way.volume_change is not None:
        moved = modulated(moved, way.volume_change)
    write_volume(moved, target, like=path)
    return image.grid, chosen, moved.background, ()


def _apply_channels(path: Path, target: Path, way: _Way, settings: ApplySettings) -> _Applied:
    image = read_channels(path)
    chosen = "linear" if settings.interpolation == "auto" else settings.interpolation
    if chosen == "label-linear":
        raise UsageError(f"{path}: holds several numbers per voxel; label-linear needs one label per voxel.")
    moved = []
    background = 0.0
    for channel in image.array:
        data = torch.from_numpy(channel.astype(np.float32))[None]
        volume = Volume(data=data, grid=image.grid, stored_dtype=channel.dtype.newbyteorder("=").name)
        carried = resample_image(volume, way.transform, way.grid, mode=chosen)
        if way.volume_change is not None:
            carried = modulated(carried, way.volume_change)
        background = carried.background
        moved.append(stored_numbers(carried))
    write_channels(replace(image, array=np.stack(moved), grid=way.grid), target, like=path)
    return image.grid, chosen, background, ()


def modulated(moved: Volume, change: Float[Tensor, "d h w"]) -> Volume:
    """An image multiplied by the change of volume; of a CT, HU + 1000, its density, is."""
    empty = -1000.0 if moved.background <= LOWEST_OF_CT_HU else 0.0
    data = torch.where(moved.data > empty, (moved.data - empty) * change.to(moved.data) + empty, moved.data)
    return replace(moved, data=data)


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


def resample_image(image: Volume, transform: Transform, grid: Grid, *, mode: ImageMode = "linear") -> Volume:
    """An image on another grid, with `background_of` where it has no voxel."""
    return resample_volume(replace(image, background=background_of(image)), transform, grid, mode=mode)


def write_moved_labels(
    path: Path,
    transform: Transform,
    grid: Grid,
    *,
    mode: Literal["nearest", "label-linear"],
    output: Path,
) -> tuple[int, ...]:
    """Write a label map on another grid; the labels that were lost on the way are returned."""
    labels = read_labels(path)
    moved = resample_labels(labels, transform, grid, mode=LABEL_MODES[mode])
    write_labels(moved, output, like=path)
    return lost_labels(labels, moved)
