"""Header entries that depend on the grid: recomputed for Slicer segmentations, otherwise dropped."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXTENT = re.compile(r"Segment(\d+)_Extent")
_OFFSET = "Segmentation_ReferenceImageExtentOffset"
_CONVERSION = "Segmentation_ConversionParameters"
_REFERENCE_GEOMETRY = "Reference image geometry|"
"""Prefix of the parameter that holds the old grid."""
_REPRESENTATIONS = ("Segmentation_SourceRepresentation", "Segmentation_MasterRepresentation")
_NOWHERE = "0 -1 0 -1 0 -1"
"""Extent of an empty segment in Slicer."""
_GRID_NAMES = frozenset(
    (
        "offset",
        "origin",
        "position",
        "orientation",
        "rotation",
        "spacing",
        "direction",
        "dimsize",
        "elementspacing",
        "elementsize",
        "transformmatrix",
        "centerofrotation",
        "anatomicalorientation",
    )
)
_DICOM_GRID_NAMES = (
    *("00200032", "imagepositionpatient", "00200037", "imageorientationpatient"),
    *("00280030", "pixelspacing", "00181164", "imagerpixelspacing", "00180050", "slicethickness"),
    *("00180088", "spacingbetweenslices", "00201041", "slicelocation"),
    *("00280010", "00280011", "00280008", "numberofframes"),
)
"""DICOM tags and names as copied by tools, with any prefix."""


def entries_of_array(entries: dict[str, str], array: NDArray[Any]) -> dict[str, str]:
    """Header entries adapted to another array on another grid.

    Args:
        entries: header entries of the image from which the array was made.
        array: (c, d, h, w), as it will be written; one channel per layer of a segmentation.
    """
    kept = {name: text for name, text in entries.items() if not _is_of_grid(name)}
    if _OFFSET in kept:
        kept[_OFFSET] = "0 0 0"
    if _CONVERSION in kept:
        parameters = kept[_CONVERSION].split("&")
        kept[_CONVERSION] = "&".join(one for one in parameters if not one.startswith(_REFERENCE_GEOMETRY))
    return kept | _extents(entries, array)


def _is_of_grid(name: str) -> bool:
    plain = re.sub(r"[^0-9a-z]", "", name.lower())
    return plain in _GRID_NAMES or plain.endswith(_DICOM_GRID_NAMES) or _EXTENT.fullmatch(name) is not None


def _extents(entries: dict[str, str], array: NDArray[Any]) -> dict[str, str]:
    if any("ractional" in entries.get(name, "") for name in _REPRESENTATIONS):
        return {}
    found = {}
    for name in entries:
        segment = _EXTENT.fullmatch(name)
        if segment is None:
            continue
        number = segment[1]
        # In older files each segment has its own layer, of ones.
        layer, value = entries.get(f"Segment{number}_Layer", number), entries.get(f"Segment{number}_LabelValue", "1")
        if layer.strip().isdecimal() and int(layer) < len(array) and value.strip().lstrip("-").isdecimal():
            found[name] = _extent(array[int(layer)] == int(value))
    return found


def _extent(mask: NDArray[np.bool_]) -> str:
    """First and last index of a mask (d, h, w) along x, y and z."""
    ends = []
    for axis in (2, 1, 0):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not occupied.size:
            return _NOWHERE
        ends += [occupied[0], occupied[-1]]
    return " ".join(map(str, ends))
