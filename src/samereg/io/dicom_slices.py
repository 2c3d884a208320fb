"""Values: a DICOM slice as described by its header, and a damaged DICOM file."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Elements that define the position of a plane."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Slice:
    """One plane of voxels, as described by its header.

    Attributes:
        path: file that holds it.
        frame: number of the plane in a multi-frame file, or None.
        frames: planes in the file.
        study_uid: study that it belongs to; empty if the header names none.
        series_uid: series that it belongs to; empty if the header names none.
        frame_of_reference_uid: world that its position is given in; empty if the header names none.
        instance_uid: SOPInstanceUID in the header.
        modality: CT, MR, ...
        is_localizer: whether it is a localizer (scout) instead of an axial slice.
        shape: rows and columns.
        samples: values per voxel.
        photometric: PhotometricInterpretation, such as MONOCHROME2 or RGB.
        position_mm: centre of its first voxel, LPS, (3,); NaN if the header has none.
        directions: unit vectors along a row and down a column, (2, 3); NaN if the header has none.
        spacing_mm: between rows and between columns, (2,); NaN if the header has none.
        is_rescaled: whether the header has a rescale slope and intercept.
        slope: rescale slope, from stored values to HU.
        intercept: rescale intercept, from stored values to HU.
        unit: of the rescaled values, as in the header; often empty.
        padding: minimum and maximum stored padding value, if any.
        phases: values of the elements that distinguish several volumes of one series, by name.
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
        """Whether the header defines the position of the plane."""
        return not self.lacking

    @property
    def lacking(self) -> tuple[str, ...]:
        """Names of the missing elements that would define the position of the plane."""
        values = (self.position_mm, self.directions.ravel(), self.spacing_mm)
        return tuple(name for name, value in zip(GEOMETRY, values, strict=True) if not all(map(isfinite, value)))

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane, (3,)."""
        normal = np.cross(self.directions[0], self.directions[1])
        return np.asarray(normal / np.linalg.norm(normal))


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A DICOM file whose header cannot be parsed.

    Attributes:
        path: the file.
        series_uid: series that it belongs to, as far as it can be read; may be truncated or empty.
        reason: what is wrong, a predicate whose subject is the file.
    """

    path: Path
    series_uid: str
    reason: str
