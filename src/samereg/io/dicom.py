"""DICOM folders as volumes: which series, in which order, on which grid; never by file name."""

import logging
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError, NotCTError, UsageError
from samereg.geometry.volume import Volume
from samereg.io.dicom_headers import Slice, slices_in_file, slices_in_folder
from samereg.io.dicom_pixels import read_hu
from samereg.io.dicom_stack import order_slices, same_place, stack_grid, straighten
from samereg.io.stored import naming, require_usable_grid, whole_number_dtype

_LOG = logging.getLogger(__name__)

_AIR_HU = -1024.0
_HIGHEST_PADDING_HU = -500.0
"""Padding above this would read as tissue: those voxels are set to air instead."""


def read_series(folder: Path, *, series: str | None = None) -> Volume:
    """One series of a folder as a volume in HU, slices sorted by their position along the normal.

    Copies of a slice are dropped; a stack that a tilted gantry has sheared is straightened slice by slice.

    Args:
        folder: searched with all its subfolders.
        series: UID of the series or the beginning of one; by default the CT series with most voxels.

    Raises:
        UsageError: `series` does not name exactly one.
        FileError: no DICOM images, or pixels that are truncated or cannot be decoded.
        NotCTError: no CT among them.
        GeometryError: slices that are missing, not parallel, of different sizes or spacing, or at one place.
    """
    slices = slices_in_folder(folder)
    if not slices:
        raise FileError(f"{folder}: holds no DICOM images; need a folder of CT slices, or an image file.")
    return _volume(folder, _choose(folder, slices, series))


def read_dicom_file(path: Path) -> Volume:
    """A multi-frame DICOM file (enhanced CT) as a volume in HU.

    Raises:
        FileError: a single slice, or a file that cannot be decoded.
        GeometryError: frames as of `read_series`.
    """
    slices = list(slices_in_file(path))
    if not slices:
        raise FileError(f"{path}: is a DICOM file without an image that can be understood; need CT slices.")
    if len(slices) == 1:
        raise FileError(f"{path}: is a single DICOM image; give the folder that holds its whole series.")
    return _volume(path, slices)


def _choose(folder: Path, slices: list[Slice], wanted: str | None) -> list[Slice]:
    by_series: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        by_series[item.series_uid].append(item)
    if wanted is not None:
        return by_series[_named_series(folder, by_series, wanted)]
    stacks = {
        uid: members
        for uid, members in by_series.items()
        if members[0].modality == "CT" and sum(_is_stackable(item) for item in members) > 1
    }
    if not stacks:
        kinds = ", ".join(f"{n} {kind or 'unknown'}" for kind, n in Counter(s.modality for s in slices).items())
        raise NotCTError(f"{folder}: holds no CT series (images by modality: {kinds}); need one of at least 2 slices.")
    uid = min(stacks, key=lambda uid: (-_voxels(stacks[uid]), uid))
    if len(by_series) > 1:
        _LOG.info("%s: taking series %s, the largest CT of %d series", folder, uid, len(by_series))
    return stacks[uid]


def _named_series(folder: Path, by_series: dict[str, list[Slice]], wanted: str) -> str:
    matching = [uid for uid in by_series if uid == wanted] or [uid for uid in by_series if uid.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    known = "; ".join(f"{uid} ({m[0].modality}, {len(m)} images)" for uid, m in sorted(by_series.items()))
    count = f"{len(matching)} series begin" if matching else "no series begins"
    raise UsageError(f"{folder}: {count} with {wanted!r}; it holds {known}.")


def _is_stackable(item: Slice) -> bool:
    return item.is_placed and not item.is_localizer


def _voxels(members: list[Slice]) -> int:
    return sum(item.shape[0] * item.shape[1] for item in members if _is_stackable(item))


def _volume(source: Path, members: list[Slice]) -> Volume:
    ordered = _without_copies(source, order_slices(source, [m for m in members if not m.is_localizer]))
    grid = stack_grid(source, ordered)
    data = read_hu(ordered)
    if not np.isfinite(data).all():
        raise InputError(f"{source}: holds voxels that are NaN or infinite; need finite numbers.")
    background_hu = _fill_padding(data, ordered)
    whole = all(item.slope.is_integer() and item.intercept.is_integer() for item in ordered)
    stack = Volume(
        data=torch.from_numpy(data)[None],
        grid=grid,
        background=background_hu,
        stored_dtype=whole_number_dtype(data) if whole else "float32",
    )
    if not grid.is_orthonormal:
        _LOG.info("%s: slices slide sideways, as of a tilted gantry; straightened", source)
    with naming(source):
        volume = straighten(stack)
        require_usable_grid(volume.grid)
    return volume


def _without_copies(source: Path, ordered: list[Slice]) -> list[Slice]:
    """Slices without those that repeat another at the same place, pixel by pixel."""
    kept = ordered[:1]
    for item in ordered[1:]:
        if not same_place(kept[-1], item):
            kept.append(item)
            continue
        first, second = read_hu([kept[-1], item])
        if not np.array_equal(first, second):
            raise GeometryError(
                f"{source}: {kept[-1].path.name} and {item.path.name} are different slices at one place "
                "(several phases in one series?); need one slice at each."
            )
    if len(kept) < 2:
        raise GeometryError(f"{source}: all its slices lie at one place; need at least 2 places.")
    return kept


def _fill_padding(data: NDArray[np.float32], ordered: list[Slice]) -> float:
    """Value for "nothing measured": the padding of the headers, or of air where there is none or it is too high.

    Padding that would read as tissue is replaced in `data`, which is filled anew by the caller for this.
    """
    lowest = _AIR_HU
    for plane, item in zip(data, ordered, strict=True):
        if item.padding is None:
            continue
        padding_hu = item.padding * item.slope + item.intercept
        if padding_hu > _HIGHEST_PADDING_HU:
            plane[plane == np.float32(padding_hu)] = _AIR_HU
        else:
            lowest = padding_hu
    return lowest
