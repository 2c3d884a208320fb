"""Resamples images and label maps in files through a transform file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from samereg.app.jacobian import volume_change
from samereg.app.moved_structures import ObjectKind, carry_object, is_carried_as_object
from samereg.app.overwriting import claimed_outputs, refuse_collisions, refuse_input
from samereg.app.record import InputRecord, file_record
from samereg.app.spaces import read_spaces
from samereg.errors import InputError, UnspecifiedError, UsageError
from samereg.geometry.domain import field_grid
from samereg.geometry.grid import Grid, respaced
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.geometry.volume import IN_MEMORY, LabelMap, Volume
from samereg.image.label_detection import detect_labels
from samereg.image.resample import (
    ImageMode,
    LabelMode,
    lost_labels,
    outside_label,
    resample_labels,
    resample_volume,
)
from samereg.io.channels import has_channels, read_channels, write_channels
from samereg.io.format_names import TransformFormatName
from samereg.io.images import (
    name_to_write,
    read_grid,
    read_labels,
    read_volume,
    stored_label_values,
    stored_numbers,
    write_labels,
    write_volume,
)
from samereg.io.transform_files import TRANSFORM_FORMATS, read_transform_file, recognise_transform

_LOG = logging.getLogger(__name__)

Interpolation = Literal["auto", "linear", "cubic", "sinc", "nearest", "label-linear"]

NamedInterpolation = Literal["linear", "cubic", "sinc", "nearest", "label-linear"]

LABEL_MODES: dict[Literal["nearest", "label-linear"], LabelMode] = {
    "nearest": "nearest",
    "label-linear": "per_label_linear",
}

LOWEST_OF_CT_HU = -500.0
"""Images whose minimum is above this contain no air, so -1024 is not their background."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplySettings:
    """Settings of resampling.

    Attributes:
        reference: image in the fixed space that defines the output grid.
        spacing_mm: output spacing over the same box, one number or three along (d, h, w); without a reference, over
            the box of the transform's field.
        interpolation: `auto` uses `nearest` for label maps and `linear` otherwise.
        modulate: multiply by the Jacobian determinant to preserve mass; for a CT, density is HU + 1000.
        transform_format: of the transform; None to detect it.
        moving: moving image of the transform, for formats in voxels; the inputs by default.
        to: what labels and structures are written as: an image, a SEG or an RTSTRUCT.
    """

    reference: Path | None = None
    spacing_mm: tuple[float, ...] = ()
    interpolation: Interpolation = "auto"
    modulate: bool = False
    transform_format: TransformFormatName | None = None
    moving: Path | None = None
    to: ObjectKind = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """Record of the output.

    Attributes:
        transform: the transform file.
        input: the resampled image or label map.
        reference: image that defines the grid, if any.
        output: output file.
        interpolation: as used.
        background: value of voxels outside the input.
        lost_labels: labels of the input that are missing in the output.
    """

    transform: Path
    input: InputRecord
    reference: InputRecord | None
    output: Path
    interpolation: str
    background: float
    lost_labels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Warp:
    """A transform, the output grid, the factor of intensities there, and where the reference came from."""

    transform: Transform
    grid: Grid
    volume_change: Float[Tensor, "d h w"] | None
    place: Source = IN_MEMORY


def apply_files(
    transform_path: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    settings: ApplySettings,
    overwrite: bool = False,
) -> tuple[AppliedRecord, ...]:
    """Resamples images and label maps through one transform onto one grid, and writes them.

    Outputs keep the data types and descriptive header entries of their inputs. The transform maps the reference's
    world to the inputs' world.

    Args:
        transform_path: transform file of any supported format.
        inputs: images or label maps in the moving space; 4-D and vector images are resampled by channel.
        output: output file; for several inputs a folder, in which each keeps its name.
        settings: all other settings.
        overwrite: replace existing files.

    Raises:
        UsageError: an output exists, is an input, or is that of two inputs; or incompatible settings.
        InputError: an invalid file.
    """
    outputs = (
        [output] if len(inputs) == 1 and not output.is_dir() else [output / name_to_write(path) for path in inputs]
    )
    refuse_collisions(dict(zip(inputs, outputs, strict=True)))
    for path in outputs:
        refuse_input(path, (transform_path, *inputs, settings.reference, settings.moving))
    with claimed_outputs(*outputs, overwrite=overwrite):
        warp = _read_warp(transform_path, inputs, settings)
        reference = (
            None if settings.reference is None else file_record(settings.reference, read_grid(settings.reference))
        )
        records = []
        for path, target in zip(inputs, outputs, strict=True):
            grid, chosen, background, lost = _apply(path, target, warp, settings)
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
    """Resamples one image or label map onto the grid of a reference; see `apply_files`."""
    settings = ApplySettings(reference=reference_path, interpolation=interpolation)
    (record,) = apply_files(transform_path, (input_path,), output, settings=settings, overwrite=overwrite)
    return record


def carry_image(path: Path, output: Path, transform: Transform, grid: Grid) -> None:
    """One image or label map through a transform that is at hand, onto a grid of the fixed world; see `apply_files`."""
    _apply(path, output, _Warp(transform=transform, grid=grid, volume_change=None), ApplySettings())


def output_grid(reference: Grid | None, spacing_mm: tuple[float, ...], transform: Transform) -> Grid:
    """Grid of the reference, with another spacing if given; without a reference, over the transform's field.

    Raises:
        UsageError: neither, a spacing of two numbers, or a spacing alone for a transform without a field.
        InputError: an invalid reference.
    """
    grid = field_grid(transform) if reference is None else reference
    if grid is None or (reference is None and not spacing_mm):
        raise UsageError("Got no grid for the output; need --reference (or --spacing, if the transform has a field).")
    if not spacing_mm:
        return grid
    if len(spacing_mm) not in (1, 3):
        raise UsageError(f"Got {len(spacing_mm)} numbers as --spacing; need one, or three along (d, h, w).")
    d, h, w = spacing_mm if len(spacing_mm) == 3 else spacing_mm * 3
    return respaced(grid, (d, h, w))


def _read_warp(transform_path: Path, inputs: Sequence[Path], settings: ApplySettings) -> _Warp:
    format = settings.transform_format or recognise_transform(transform_path).format
    needs_moving = "moving" in TRANSFORM_FORMATS[format].needs
    known = read_spaces(settings.reference, settings.moving)
    spaces = replace(known, moving=_moving_grid(inputs, settings)) if needs_moving else known
    transform = read_transform_file(transform_path, format=format, spaces=spaces)
    grid = output_grid(known.fixed, settings.spacing_mm, transform)
    change = volume_change(transform, grid) if settings.modulate else None
    return _Warp(transform=transform, grid=grid, volume_change=change, place=known.fixed_source or IN_MEMORY)


def _moving_grid(inputs: Sequence[Path], settings: ApplySettings) -> Grid:
    """Grid of the moving image of a transform in voxels.

    Raises:
        UnspecifiedError: none is given, and the inputs have different grids.
    """
    if settings.moving is not None:
        return read_grid(settings.moving)
    first, *others = (read_channels(path).grid if has_channels(path) else read_grid(path) for path in inputs)
    if not all(first.is_close(other) for other in others):
        raise UnspecifiedError(
            "The inputs have different grids, and the transform is in voxels of one of them or of another.",
            what="moving",
        )
    return first


_Applied = tuple[Grid, str, float, tuple[int, ...]]
"""Grid of the input, interpolation, background and lost labels."""


def _apply(path: Path, target: Path, warp: _Warp, settings: ApplySettings) -> _Applied:
    if is_carried_as_object(path, target, settings.to):
        _refuse_modulated_labels(path, warp)
        return carry_object(path, target, transform=warp.transform, grid=warp.grid, place=warp.place, to=settings.to)
    applied = _apply_channels if has_channels(path) else _apply_volume
    return applied(path, target, warp, settings)


def _apply_volume(path: Path, target: Path, warp: _Warp, settings: ApplySettings) -> _Applied:
    image = read_volume(path)
    chosen = _chosen(image, settings, name=str(path))
    if chosen != "label-linear" and not (chosen == "nearest" and detect_labels(image.data[0]).is_labels):
        moved = _moved_image(image, warp, chosen)
        write_volume(moved, target, like=path)
        return image.grid, chosen, moved.background, ()
    _refuse_modulated_labels(path, warp)
    labels, outside = moved_labels(read_labels(path), warp.transform, warp.grid, mode=LABEL_MODES[chosen])
    write_labels(labels, target, like=path)
    return image.grid, chosen, float(outside), lost_labels(read_labels(path), labels, background=outside)


def _chosen(image: Volume, settings: ApplySettings, *, name: str) -> NamedInterpolation:
    return choose_interpolation(image, name=name) if settings.interpolation == "auto" else settings.interpolation


def _moved_image(image: Volume, warp: _Warp, mode: ImageMode) -> Volume:
    moved = resample_image(image, warp.transform, warp.grid, mode=mode)
    return moved if warp.volume_change is None else modulated(moved, warp.volume_change)


def _refuse_modulated_labels(path: Path, warp: _Warp) -> None:
    if warp.volume_change is not None:
        raise UsageError(f"{path}: is read as a label map, which --modulate cannot multiply; give --interpolation.")


def _apply_channels(path: Path, target: Path, warp: _Warp, settings: ApplySettings) -> _Applied:
    """Resamples each channel as a separate image, so that masks and intensities may be combined."""
    image = read_channels(path)
    moved, modes, lost, background = [], [], set[int](), 0.0
    for number, channel in enumerate(image.array):
        data = torch.from_numpy(channel.astype(np.float32))[None]
        dtype = channel.dtype.newbyteorder("=").name
        volume = Volume(data=data, grid=image.grid, stored_dtype=dtype)
        chosen = _chosen(volume, settings, name=f"{path}, channel {number + 1}")
        modes.append(chosen)
        if chosen == "label-linear" or (chosen == "nearest" and detect_labels(data[0]).is_labels):
            _refuse_modulated_labels(path, warp)
            before = LabelMap(data=_whole(channel, path), grid=image.grid, stored_dtype=dtype)
            labels, outside = moved_labels(before, warp.transform, warp.grid, mode=LABEL_MODES[chosen])
            lost.update(lost_labels(before, labels, background=outside))
            moved.append(stored_label_values(labels))
        else:
            carried = _moved_image(volume, warp, chosen)
            background = carried.background
            moved.append(stored_numbers(carried))
    write_channels(replace(image, array=np.stack(moved), grid=warp.grid), target, like=path)
    return image.grid, " and ".join(dict.fromkeys(modes)), background, tuple(sorted(lost))


def _whole(channel: NDArray[Any], path: Path) -> Int[Tensor, "d h w"]:
    values = channel.astype(np.int64)
    if not np.array_equal(values, channel):
        raise InputError(f"{path}: holds fractions; label-linear needs whole numbers.")
    return torch.from_numpy(values)


def modulated(moved: Volume, change: Float[Tensor, "d h w"]) -> Volume:
    """An image multiplied by the Jacobian determinant; for a CT, the density HU + 1000 is multiplied."""
    empty = -1000.0 if moved.background <= LOWEST_OF_CT_HU else 0.0
    data = torch.where(moved.data > empty, (moved.data - empty) * change.to(moved.data) + empty, moved.data)
    return replace(moved, data=data)


def choose_interpolation(image: Volume, *, name: str = "the image") -> Literal["linear", "nearest"]:
    """`nearest` for a label map according to `detect_labels`; an uncertain choice is logged as a warning."""
    found = detect_labels(image.data[0])
    if not found.is_certain:
        taken = "a label map and not interpolated" if found.is_labels else "intensities and interpolated linearly"
        _LOG.warning("%s: is read as %s; set --interpolation nearest or linear to choose", name, taken)
    return "nearest" if found.is_labels else "linear"


def background_of(image: Volume) -> float:
    """Value for voxels outside an image: its padding value if it is a CT, otherwise its minimum."""
    lowest = float(image.data.min())
    return image.background if lowest <= LOWEST_OF_CT_HU else lowest


def resample_image(image: Volume, transform: Transform, grid: Grid, *, mode: ImageMode = "linear") -> Volume:
    """Resamples an image onto another grid, with `background_of` outside it."""
    return resample_volume(replace(image, background=background_of(image)), transform, grid, mode=mode)


def moved_labels(
    labels: LabelMap, transform: Transform, grid: Grid, *, mode: LabelMode = "nearest"
) -> tuple[LabelMap, int]:
    """Resamples a label map onto another grid; also returns the label outside it."""
    outside = outside_label(labels)
    return resample_labels(labels, transform, grid, mode=mode, outside=outside), outside
