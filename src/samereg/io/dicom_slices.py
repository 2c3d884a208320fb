"""A DICOM slice as its header describes it, and a DICOM file that is damaged; nothing of how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Elements that say where a plane lies."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Slice:
    """One plane of voxels as its header describes it.

    Attributes:
        path: file that holds it.
        frame: number of the plane in a multi-frame file, or None.
        frames: planes in the file.
        study_uid: study that it belongs to; empty if the header names none.
        series_uid: series that it belongs to; empty if the header names none.
        frame_of_reference_uid: world that its position is given in; empty if the header names none.
        instance_uid: its own identity, as the header claims.
        modality: CT, MR, ...
        is_localizer: whether it is a planning projection, not a slice.
        shape: rows and columns.
        samples: numbers per voxel.
        photometric: what the numbers mean for a display, such as MONOCHROME2 or RGB.
        position_mm: centre of its first voxel, LPS, (3,); NaN if the header has none.
        directions: unit vectors along a row and down a column, (2, 3); NaN if the header has none.
        spacing_mm: between rows and between columns, (2,); NaN if the header has none.
        is_rescaled: whether the header says how its numbers become HU.
        slope: factor from stored numbers to HU.
        intercept: summand from stored numbers to HU.
        unit: of the rescaled numbers, as the header writes it; often empty.
        padding: lowest and highest stored number that stand for "nothing measured", if any.
        phases: values of the elements that tell several volumes of one series apart, by name.
    """

    path: Path
    frame: int | None
    frames: int
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    instance_uid: str
    modality: str
    is_localizer: bool
    shape: tuple[int, int]
    samples: int
    photometric: str
    position_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    is_rescaled: bool
    slope: float
    intercept: float
    unit: str
    padding: tuple[float, float] | None
    phases: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the file, and of the frame where there are several."""
        return self.path.name if self.frame is None else f"{self.path.name} (frame {self.frame + 1})"

    @property
    def is_placed(self) -> bool:
        """Whether the header says where the plane lies."""
        return not self.lacking

    @property
    def lacking(self) -> tuple[str, ...]:
        """Names of the elements without which nobody knows where the plane lies."""
        values = (self.position_mm, self.directions.ravel(), self.spacing_mm)
        return tuple(name for name, value in zip(GEOMETRY, values, strict=True) if not all(map(isfinite, value)))

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane, (3,)."""
        normal = np.cross(self.directions[0], self.directions[1])
        return np.asarray(normal / np.linalg.norm(normal))


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A DICOM file whose header cannot be understood.

    Attributes:
        path: the file.
        series_uid: series that it belongs to, as far as it can be read: the beginning of the UID, or nothing.
        reason: what is wrong, a predicate whose subject is the file.
    """

    path: Path
    series_uid: str
    reason: str
