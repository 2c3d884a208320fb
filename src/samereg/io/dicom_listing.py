"""What series a DICOM folder holds, and which of them is taken as the scan."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

from samereg.errors import FileError, InputError
from samereg.io.dicom import by_series, is_ct_stack, largest
from samereg.io.dicom_headers import BAD_HEADER, headers_in_folder, quiet_pydicom
from samereg.io.dicom_slices import Slice
from samereg.io.dicom_stack import order_slices, same_place, stack_grid

_DESCRIBING = ("SeriesDescription", "StudyDate", "ContrastBolusAgent", "SeriesNumber")


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesEntry:
    """One series of a folder.

    Attributes:
        series_uid: SeriesInstanceUID, for `--series`.
        study_uid: StudyInstanceUID.
        study_date: as the header has it.
        modality: CT, MR, ...
        description: what the scanner called it.
        images: number of its images, copies included.
        shape: planes, rows and columns of its stack; None where there is none.
        spacing_mm: along (d, h, w).
        extent_mm: field of view along (d, h, w).
        contrast: contrast agent; empty if the header names none.
        is_taken: whether it is the one that a command takes if none is named.
        why: why it is taken, or why not.
    """

    series_uid: str
    study_uid: str
    study_date: str
    modality: str
    description: str
    images: int
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    extent_mm: tuple[float, float, float] | None
    contrast: str
    is_taken: bool
    why: str


def list_series(folder: Path) -> tuple[SeriesEntry, ...]:
    """Series of images below a folder, by study and number of images; the pixels are not looked at.

    Raises:
        FileError: no DICOM images, or a folder that cannot be searched.
    """
    slices, damaged = headers_in_folder(folder)
    if not slices and damaged:
        raise FileError(f"{damaged[0].path}: {damaged[0].reason}, and no other file of {folder} is a DICOM image.")
    if not slices:
        raise FileError(f"{folder}: holds no DICOM images; need a folder of them.")
    series = by_series(slices)
    stacks = {uid: members for uid, members in series.items() if is_ct_stack(members)}
    taken = largest(stacks) if stacks else None
    entries = [_entry(folder, uid, members, taken) for uid, members in series.items()]
    return tuple(
        sorted(entries, key=lambda entry: (entry.study_date, entry.study_uid, -entry.images, entry.series_uid))
    )


def _entry(folder: Path, uid: str, members: list[Slice], taken: str | None) -> SeriesEntry:
    shape, spacing_mm, extent_mm, fault = _geometry(folder, members)
    described = _described(members[0])
    return SeriesEntry(
        series_uid=uid,
        study_uid=members[0].study_uid,
        study_date=described["StudyDate"],
        modality=members[0].modality,
        description=described["SeriesDescription"],
        images=len(members),
        shape=shape,
        spacing_mm=spacing_mm,
        extent_mm=extent_mm,
        contrast=described["ContrastBolusAgent"],
        is_taken=uid == taken,
        why=_reason(members, is_taken=uid == taken, fault=fault),
    )


_Geometry = tuple[
    tuple[int, int, int] | None, tuple[float, float, float] | None, tuple[float, float, float] | None, str
]


def _geometry(folder: Path, members: list[Slice]) -> _Geometry:
    """Shape, spacing and extent of a stack, and what is wrong with it."""
    try:
        ordered = order_slices(folder, [item for item in members if not item.is_localizer])
        kept = [item for n, item in enumerate(ordered) if n == 0 or not same_place(ordered[n - 1], item)]
        grid = stack_grid(folder, kept)
    except InputError as error:
        return None, None, None, str(error).removeprefix(f"{folder}: ")
    return grid.shape, grid.spacing_mm, grid.extent_mm, ""


def _described(item: Slice) -> dict[str, str]:
    with quiet_pydicom():
        try:
            header = pydicom.dcmread(item.path, specific_tags=list(_DESCRIBING), stop_before_pixels=True, force=True)
            return {name: str(header.get(name) or "") for name in _DESCRIBING}
        except BAD_HEADER as error:
            raise FileError(f"{item.path}: has a DICOM header that cannot be understood ({error}).") from error


def _reason(members: list[Slice], *, is_taken: bool, fault: str) -> str:
    if is_taken:
        return "the CT with most voxels" if not fault else f"the CT with most voxels, but {fault}"
    if not any(item.modality == "CT" for item in members):
        return "no CT"
    if all(item.is_localizer for item in members):
        return "a localizer"
    return fault or "another CT has more voxels"
