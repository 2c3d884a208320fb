"""Where an image came from: what messages call it, and what outputs keep of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Origin of a volume or label map; travels with it through resampling.

    Attributes:
        label: what messages call the image: its path, or words such as "the fixed scan".
        path: file or DICOM folder; None for an image in memory.
        sha256: of the file, or of the files of a folder in the order of their paths; None where nobody asked.
        series: DICOM series that was asked for, as it was given.
        study_uid: StudyInstanceUID, of DICOM only.
        series_uid: SeriesInstanceUID, of DICOM only.
        frame_of_reference_uid: FrameOfReferenceUID, of DICOM only.
    """

    label: str = "the scan"
    path: Path | None = None
    sha256: str | None = None
    series: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    frame_of_reference_uid: str | None = None
