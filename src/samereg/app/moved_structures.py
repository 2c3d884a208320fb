"""Carries SEG, RTSTRUCT, RTDOSE and label maps through a transform, into DICOM objects of the fixed scan."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from samereg.errors import FileError, GeometryError, UnspecifiedError, UsageError
from samereg.geometry.grid import Grid, respaced
from samereg.geometry.source import Source
from samereg.geometry.transform import Transform
from samereg.image.resample import resample_volume
from samereg.io.dicom_contours import write_contours
from samereg.io.dicom_dose import read_dose, write_dose
from samereg.io.dicom_segments import write_segments
from samereg.io.dicom_structures import STRUCTURE_SUFFIXES, DicomKind, kind_of, read_structures
from samereg.io.formats import has_suffix
from samereg.io.images import image_format, read_labels, write_labels, write_volume
from samereg.io.structures import Region, Structure, level_on, masks_of, painted

ObjectKind = Literal["auto", "image", "seg", "rtstruct"]
"""What labels are written as; auto goes by the input, and by the name of the output where that is an image's."""

Carried = tuple[Grid, str, float, tuple[int, ...]]
"""Grid of the input, interpolation, background and lost labels."""


def is_carried_as_object(path: Path, target: Path, to: ObjectKind) -> bool:
    """Whether an input or an output of `apply` is a DICOM object beside images.

    Raises:
        UnspecifiedError: a label map, and an output that is no image, without what it is to be.
    """
    kind = None if image_format(path) is not None or path.is_dir() else kind_of(path)
    if kind is None and to in ("auto", "image") and image_format(path) is not None and image_format(target) is None:
        if has_suffix(target, STRUCTURE_SUFFIXES):
            raise UnspecifiedError(f"{target}: a SEG and an RTSTRUCT are called so; name one of them.", what="object")
        return False
    return kind is not None or to in ("seg", "rtstruct")


def carry_object(
    path: Path, target: Path, *, transform: Transform, grid: Grid, place: Source, to: ObjectKind
) -> Carried:
    """Carry one file into a DICOM object, or a DICOM object into an image.

    Structures are carried as levels, which are linear between voxels and contours: their surface moves smoothly, and no
    structure takes voxels from another.

    Args:
        path: SEG, RTSTRUCT, RTDOSE, or label map, in the moving space.
        target: file to write.
        transform: fixed world to moving world.
        grid: of the fixed space.
        place: where the fixed scan came from.
        to: what structures are written as.

    Raises:
        UsageError: a dose that is to be structures.
        InputError: a file that cannot be used, or a fixed scan that is no DICOM series.
    """
    kind = None if image_format(path) is not None else kind_of(path)
    if kind == "rtdose":
        return _carry_dose(path, target, transform, grid, place, to)
    if kind is None:
        labels = read_labels(path)
        structures, own = masks_of(labels), labels.grid
    else:
        structures = read_structures(path, kind)
        own = structures[0].grid
    moved = [(structure, level_on(structure, grid, transform)) for structure in structures]
    lost = tuple(structure.number for structure, region in moved if not _shows(region))
    written = _written_kind(kind, target, to)
    if written == "image":
        _write_image(structures, target, transform, grid)
        return own, "linear levels", 0.0, lost
    _require_series(place, grid)
    if written == "seg":
        write_segments(moved, target, grid=grid, place=place)
    else:
        write_contours(moved, target, place=place, template=path if kind == "rtstruct" else None)
    return own, "linear levels", 0.0, lost


def _written_kind(kind: DicomKind | None, target: Path, to: ObjectKind) -> Literal["image", "seg", "rtstruct"]:
    if to != "auto":
        return to
    if image_format(target) is not None:
        return "image"
    return "rtstruct" if kind == "rtstruct" else "seg"


def _shows(region: Region | None) -> bool:
    return region is not None and bool((region.level > 0.0).any())


def _write_image(structures: tuple[Structure, ...], target: Path, transform: Transform, grid: Grid) -> None:
    labels, _ = painted(structures, grid, transform)
    write_labels(labels, target)


def _require_series(place: Source, grid: Grid) -> None:
    """Refuse a grid whose planes are not the slices of a DICOM series."""
    if place.dicom is None or place.frame_of_reference_uid is None:
        raise FileError(
            f"{place.label}: is no DICOM series with a frame of reference, which a SEG or RTSTRUCT lies on; "
            "give the DICOM folder as the reference, or an image as the output."
        )
    if place.dicom.frames == 1 and len(place.dicom.instance_uids) != grid.shape[0]:
        raise GeometryError(
            f"{place.label}: has {len(place.dicom.instance_uids)} slices and the output {grid.shape[0]} planes; "
            "a SEG or RTSTRUCT lies on the slices of the series: leave --spacing out."
        )


def _carry_dose(path: Path, target: Path, transform: Transform, grid: Grid, place: Source, to: ObjectKind) -> Carried:
    """A dose at its own spacing over the box of the grid."""
    if to in ("seg", "rtstruct"):
        raise UsageError(f"{path}: is a dose, which no {to.upper()} can hold; leave --to out.")
    dose = read_dose(path)
    coarse = respaced(grid, dose.grid.spacing_mm) if image_format(target) is None else grid
    moved = resample_volume(dose, transform, coarse)
    if image_format(target) is None:
        write_dose(replace(moved, source=dose.source), target, template=path, place=place)
    else:
        write_volume(moved, target)
    return dose.grid, "linear", 0.0, ()
