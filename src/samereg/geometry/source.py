"""Provenance of an image: its name in messages, and the identifiers that outputs keep."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomOrigin:
    """What DICOM objects made from a series inherit and refer to.

    Attributes:
        sop_class_uid: kind of its images.
        instance_uids: SOPInstanceUID of its images, in the order of the slices; one for a multi-frame file.
        frames: frames in each image; 1 for slices in files of their own.
        header: elements of the first image that say whose scan it is and how it was made, as DICOM JSON. It names the
            patient, and so it is left out where the value is printed.
    """

    sop_class_uid: str
    instance_uids: tuple[str, ...]
    frames: int = 1
    header: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Origin of a volume or label map; preserved by resampling.

    Attributes:
        label: name of the image in messages: its path, or a phrase such as "the fixed scan".
        path: file or DICOM folder; None for an image in memory.
        sha256: of the file, or of the files of a folder in the order of their paths; None if not computed.
        series: requested DICOM series, as given.
        study_uid: StudyInstanceUID, of DICOM only.
        series_uid: SeriesInstanceUID, of DICOM only.
        frame_of_reference_uid: FrameOfReferenceUID, of DICOM only.
        dicom: what DICOM objects made from it inherit, of DICOM only.
    """

    label: str = "the scan"
    path: Path | None = None
    sha256: str | None = None
    series: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    frame_of_reference_uid: str | None = None
    dicom: DicomOrigin | None = None
