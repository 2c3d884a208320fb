"""Reading of DICOM folders: selection of the series, order of its slices, and their grid, regardless of file names."""

import logging
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch

from samereg.errors import FileError, GeometryError, InputError, NotCTError, UsageError
from samereg.geometry.source import Source
from samereg.geometry.volume import Volume
from samereg.io.dicom_headers import headers_in_folder, read_header
from samereg.io.dicom_origin import origin_of
from samereg.io.dicom_padding import fill_padding
from samereg.io.dicom_pixels import read_hu
from samereg.io.dicom_slices import Damaged, Slice
from samereg.io.dicom_stack import (
    SAME_PLACE_MM,
    order_slices,
    refuse_rivals,
    require_place,
    same_place,
    stack_grid,
    straighten,
)
from samereg.io.stored import naming, require_usable_grid, whole_number_dtype

_LOG = logging.getLogger(__name__)

_UID = re.compile(r"[0-9.]+", re.ASCII)
"""What UIDs are made of; scanners break the standard's further rules."""


def read_series(folder: Path, *, series: str | None = None) -> Volume:
    """Reads one series of a folder as a volume in HU, slices sorted by their position along the normal.

    Duplicate slices are dropped; a stack sheared by gantry tilt is resampled onto a rectilinear grid.

    Args:
        folder: searched with all its subfolders, links included.
        series: UID of the series or its beginning; by default the CT series with the most voxels.

    Raises:
        UsageError: `series` does not name exactly one.
        FileError: no DICOM images, a damaged file that belongs or may belong to the series, or pixels that are
            truncated or cannot be decoded.
        NotCTError: no CT among them, or values in another unit.
        GeometryError: slices that are missing, not parallel, of different sizes or spacing, or at the same position.
    """
    slices, damaged = headers_in_folder(folder)
    _refuse_unnamed(slices)
    if not slices and not damaged:
        raise FileError(f"{folder}: holds no DICOM images; need a folder of CT slices, or an image file.")
    if damaged and not _has_candidate(slices, series):
        raise _refusal(damaged[0])
    chosen = _choose(folder, slices, series)
    _refuse_damaged(chosen[0].series_uid, damaged)
    return _volume(folder, chosen)


def read_dicom_file(path: Path) -> Volume:
    """Reads a multi-frame DICOM file (enhanced CT) as a volume in HU.

    Raises:
        FileError: a single slice, no image, or a file that is damaged or cannot be decoded.
        GeometryError: invalid frames; see `read_series`.
    """
    slices = read_header(path)
    if isinstance(slices, Damaged):
        raise _refusal(slices)
    if not slices:
        raise FileError(f"{path}: is a DICOM file without an image; need CT slices.")
    if len(slices) == 1:
        require_place(path, slices[0])
        raise FileError(f"{path}: is a single DICOM image; give the folder that holds its whole series.")
    return _volume(path, list(slices))


def holds_ct(path: Path) -> bool:
    """Whether a DICOM file holds CT slices; True for damaged files, so that reading reports the damage."""
    found = read_header(path)
    return isinstance(found, Damaged) or any(item.modality == "CT" for item in found)


def _refuse_unnamed(slices: list[Slice]) -> None:
    may_be_ct = [item for item in slices if item.modality in ("CT", "")]
    # Where no series has a valid UID, a tool that takes names out wrote others on purpose.
    any_valid = any(_UID.fullmatch(item.series_uid) for item in may_be_ct)
    for item in may_be_ct:
        if not item.series_uid or (any_valid and not _UID.fullmatch(item.series_uid)):
            found = f"a SeriesInstanceUID of {item.series_uid!r}" if item.series_uid else "no SeriesInstanceUID"
            raise FileError(
                f"{item.path}: has {found}, which says what series it belongs to; need a valid one in every image, or "
                "the image elsewhere."
            )


def _refuse_damaged(chosen_uid: str, damaged: list[Damaged]) -> None:
    for broken in damaged:
        # The UID of a truncated file may be truncated or missing too.
        if chosen_uid.startswith(broken.series_uid):
            raise _refusal(broken)
        _LOG.warning("%s: %s; its series %s is not read", broken.path, broken.reason, broken.series_uid)


def _refusal(broken: Damaged) -> FileError:
    return FileError(f"{broken.path}: {broken.reason}; need it whole, or elsewhere if it is none of the slices.")


def _choose(folder: Path, slices: list[Slice], wanted: str | None) -> list[Slice]:
    series = by_series(slices)
    if wanted is not None:
        return series[_named_series(folder, series, wanted)]
    stacks = {uid: members for uid, members in series.items() if is_ct_stack(members)}
    if not stacks:
        raise _no_stack(folder, slices)
    uid = largest(stacks)
    if len(series) > 1:
        _LOG.info("%s: taking series %s, the largest CT of %d series", folder, uid, len(series))
    return stacks[uid]


def largest(stacks: dict[str, list[Slice]]) -> str:
    """UID of the series with most voxels; of several, the first one by its UID."""
    return min(stacks, key=lambda uid: (-_voxels(stacks[uid]), uid))


def by_series(slices: list[Slice]) -> dict[str, list[Slice]]:
    """Slices of each series, by its UID."""
    found: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        found[item.series_uid].append(item)
    return found


def _named_series(folder: Path, series: dict[str, list[Slice]], wanted: str) -> str:
    matching = [uid for uid in series if uid == wanted] or [uid for uid in series if uid.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    known = "; ".join(f"{uid} ({m[0].modality}, {len(m)} images)" for uid, m in sorted(series.items()))
    count = f"{len(matching)} series begin" if matching else "no series begins"
    raise UsageError(f"{folder}: {count} with {wanted!r}; it holds {known}.")


def _no_stack(folder: Path, slices: list[Slice]) -> InputError:
    """Error for a folder in which no images form a stack."""
    for item in slices:
        if item.modality == "CT" and not item.is_localizer:
            require_place(folder, item)
    kinds = ", ".join(f"{n} {kind or 'unknown'}" for kind, n in Counter(map(_kind, slices)).items())
    return NotCTError(f"{folder}: holds no CT series (images by modality: {kinds}); need one of at least 2 slices.")


def _kind(item: Slice) -> str:
    return f"{item.modality} localizer" if item.is_localizer else item.modality


def _has_candidate(slices: list[Slice], wanted: str | None) -> bool:
    """Whether a series can be chosen among those that have undamaged files."""
    if wanted is not None:
        return any(item.series_uid.startswith(wanted) for item in slices)
    return any(map(is_ct_stack, by_series(slices).values()))


def is_ct_stack(members: list[Slice]) -> bool:
    """Whether a series has CT slices that can be stacked."""
    return any(item.modality == "CT" for item in members) and sum(_is_stackable(item) for item in members) > 1


def _is_stackable(item: Slice) -> bool:
    return item.is_placed and not item.is_localizer


def _voxels(members: list[Slice]) -> int:
    return sum(item.shape[0] * item.shape[1] for item in members if _is_stackable(item))


def _volume(source: Path, members: list[Slice]) -> Volume:
    ordered = _without_copies(source, order_slices(source, [m for m in members if not m.is_localizer]))
    with naming(source):
        grid = stack_grid(source, ordered)
    data = read_hu(ordered)
    if not np.isfinite(data).all():
        raise InputError(f"{source}: holds voxels that are NaN or infinite; need finite numbers.")
    background_hu = fill_padding(source, data, ordered)
    whole = all(item.slope.is_integer() and item.intercept.is_integer() for item in ordered)
    stack = Volume(
        data=torch.from_numpy(data)[None],
        grid=grid,
        background=background_hu,
        stored_dtype=whole_number_dtype(data) if whole else "float32",
        source=Source(
            label=str(source),
            path=source,
            study_uid=ordered[0].study_uid or None,
            series_uid=ordered[0].series_uid or None,
            frame_of_reference_uid=ordered[0].frame_of_reference_uid or None,
            dicom=origin_of(ordered),
        ),
    )
    if not grid.is_orthonormal:
        _LOG.info("%s: slices are sheared by gantry tilt; resampled", source)
    with naming(source):
        volume = straighten(stack)
        require_usable_grid(volume.grid)
    return volume


def _without_copies(source: Path, ordered: list[Slice]) -> list[Slice]:
    """Slices without duplicates: same position and same pixels, regardless of their names."""
    kept = ordered[:1]
    for item in ordered[1:]:
        if not same_place(kept[-1], item):
            kept.append(item)
            continue
        aside = float(np.linalg.norm(item.position_mm - kept[-1].position_mm))
        first, second = read_hu([kept[-1], item])
        if aside > SAME_PLACE_MM or not np.array_equal(first, second):
            refuse_rivals(source, kept[-1], item, ordered)
    if len(kept) < 2:
        raise GeometryError(f"{source}: all its slices are at the same position; need at least 2 positions.")
    if len(kept) < len(ordered):
        _LOG.info("%s: left out %d copies of slices", source, len(ordered) - len(kept))
    return kept
