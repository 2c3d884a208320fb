"""What DICOM objects inherit from the series that they are made from, and the modules that all of them have."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence_item
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import VR, DSfloat

from samereg._version import __version__
from samereg.errors import FileError
from samereg.geometry.source import DicomOrigin, Source
from samereg.io.atomic import atomic_file
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom
from samereg.io.dicom_slices import Slice

_UNICODE = "ISO_IR 192"
_UNICODE_OF_PYTHON = "utf8"
_SERIES_NUMBER = 9000
"""Of derived series: shown after those of the scanner."""

PATIENT = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "PatientBirthDate", "PatientSex"),
    *("OtherPatientIDsSequence", "PatientComments", "PatientSpeciesDescription", "ResponsiblePerson"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
)
"""Elements that say whose scan it is."""
STUDY = (
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber"),
    *("ReferringPhysicianName", "PatientAge", "PatientSize", "PatientWeight"),
    *("ClinicalTrialTimePointID", "LongitudinalTemporalInformationModified"),
)
"""Elements that say in which examination it was made."""
_FRAME = ("FrameOfReferenceUID", "PositionReferenceIndicator")
IMAGE = (
    *("BodyPartExamined", "PatientPosition", "SeriesDescription", "SeriesNumber", "AcquisitionNumber"),
    *("AcquisitionDate", "AcquisitionTime", "KVP", "ConvolutionKernel", "FilterType", "ScanOptions"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusRoute", "ContrastBolusVolume"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth"),
    *("WindowCenterWidthExplanation", "VOILUTFunction", "PixelPaddingValue", "PixelRepresentation"),
    *("BurnedInAnnotation", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
"""Elements that say how the image was made and how it is to be shown."""
_NAMED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", *STUDY, "SeriesDescription")
"""Elements that a record names where it may name a patient."""
_INHERITED = (*PATIENT, *STUDY, *_FRAME, *IMAGE)
_REQUIRED_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""Elements that every object has, without a value where nobody knows it."""


def origin_of(ordered: Sequence[Slice]) -> DicomOrigin:
    """What objects made from a series inherit: references to its images, and elements of the first one's header.

    Args:
        ordered: its slices, sorted along their normal.
    """
    first = ordered[0]
    with quiet_pydicom():
        try:
            wanted = [*_INHERITED, "SpecificCharacterSet", "SOPClassUID"]
            header = pydicom.dcmread(first.path, stop_before_pixels=True, specific_tags=wanted, force=True)
            sop_class = str(header.get("SOPClassUID", ""))
            for keyword in ("SpecificCharacterSet", "SOPClassUID"):
                header.pop(keyword, None)
            kept = header.to_json(suppress_invalid_tags=True)
        except BAD_HEADER as error:
            raise FileError(f"{first.path}: has a DICOM header that cannot be understood ({error}).") from error
    return DicomOrigin(
        sop_class_uid=sop_class,
        instance_uids=tuple(dict.fromkeys(item.instance_uid for item in ordered)),
        frames=first.frames,
        header=kept,
    )


def inherited(source: Source, keywords: Sequence[str]) -> Dataset:
    """Elements of the series that an image came from, of those that are named; as Unicode.

    Raises:
        FileError: an image that did not come from DICOM.
    """
    header = header_of(source)
    made = Dataset()
    for keyword in keywords:
        if keyword in header:
            made[keyword] = header[keyword]
    return made


def header_of(source: Source) -> Dataset:
    """All elements that are inherited from the series that an image came from.

    Raises:
        FileError: an image that did not come from DICOM.
    """
    return Dataset.from_json(dicom_of(source).header)


def patient_of(source: Source) -> dict[str, str]:
    """Whose scan it is and of which study, by DICOM keyword; nothing of an image that did not come from DICOM."""
    if source.dicom is None:
        return {}
    header = header_of(source)
    return {keyword: str(header[keyword].value) for keyword in _NAMED if header.get(keyword) not in (None, "")}


def dicom_of(source: Source) -> DicomOrigin:
    """What objects made from an image inherit.

    Raises:
        FileError: an image that did not come from DICOM.
    """
    if source.dicom is None:
        raise FileError(f"{source.label}: did not come from DICOM, whose identifiers are needed; give a DICOM folder.")
    return source.dicom


def new_object(sop_class: UID, modality: str, source: Source, *, description: str) -> FileDataset:
    """An object of a kind in a series of its own, of the same patient and study as an image.

    It has the modules patient, study, series, frame of reference, equipment and SOP common.

    Args:
        sop_class: kind of the object.
        modality: of the series.
        source: image whose patient, study and frame of reference the object takes.
        description: of the series.

    Raises:
        FileError: an image that did not come from DICOM.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = _UNICODE
    for keyword in _REQUIRED_EMPTY:
        setattr(made, keyword, None)
    made.update(inherited(source, (*PATIENT, *STUDY, *_FRAME, "BodyPartExamined")))
    if "BodyPartExamined" not in made:
        made.Laterality = None  # asked for where nobody says that the body part is no paired one
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.Modality, made.SeriesInstanceUID = modality, generate_uid()
    made.SeriesDescription, made.SeriesNumber = description, _SERIES_NUMBER
    made.PositionReferenceIndicator = made.get("PositionReferenceIndicator", None)
    made.Manufacturer = made.ManufacturerModelName = "samereg"
    made.DeviceSerialNumber, made.SoftwareVersions = "none", __version__
    now = datetime.now(UTC).astimezone()
    made.InstanceCreationDate = made.ContentDate = made.SeriesDate = now.strftime("%Y%m%d")
    made.InstanceCreationTime = made.ContentTime = made.SeriesTime = now.strftime("%H%M%S")
    return made


def save(made: FileDataset, path: Path) -> None:
    """Write an object, whole or not at all.

    Raises:
        FileError: the file cannot be written.
    """
    # Otherwise pydicom looks at every element once more, and decodes those that are encoded already.
    made.set_original_encoding(False, True, [_UNICODE_OF_PYTHON])
    with atomic_file(path) as temporary, quiet_pydicom():
        made.save_as(temporary, enforce_file_format=True)


def image_references(source: Source) -> Items:
    """One item for each image of a series: its class and identity."""
    origin = dicom_of(source)
    return Items([reference(origin.sop_class_uid, uid) for uid in origin.instance_uids])


def reference(sop_class_uid: str, instance_uid: str) -> Dataset:
    """A reference to one object."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = instance_uid
    return item


def refer_to_series(made: Dataset, sources: Sequence[Source]) -> None:
    """Add the module Common Instance Reference: the series that an object refers to, by study. Changes `made`."""
    same, others = [], []
    for source in {source.series_uid: source for source in sources}.values():
        series = Dataset()
        series.SeriesInstanceUID = source.series_uid or ""
        series.ReferencedInstanceSequence = image_references(source)
        if source.study_uid == made.get("StudyInstanceUID"):
            same.append(series)
            continue
        study = Dataset()
        study.StudyInstanceUID = source.study_uid or ""
        study.ReferencedSeriesSequence = Items([series])
        others.append(study)
    if same:
        made.ReferencedSeriesSequence = Items(same)
    if others:
        made.StudiesContainingOtherReferencedInstancesSequence = Items(others)


def encoded(keyword: str, items: Items) -> RawDataElement:
    """A sequence as its bytes, for objects of many files that all have it: pydicom encodes each item anew otherwise."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    for item in items:
        write_sequence_item(buffer, item, [_UNICODE_OF_PYTHON])
    value = buffer.getvalue()
    tag = Tag(keyword)
    return RawDataElement(tag, VR.SQ, len(value), value, 0, is_implicit_VR=False, is_little_endian=True)


def code(value: str, scheme: str, meaning: str) -> Items:
    """A sequence of one coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Items([item])


def decimals(numbers: list[float]) -> list[DSfloat]:
    """Numbers as DICOM's decimal strings of at most 16 characters, as exact as these can be."""
    return [DSfloat(value + 0.0, auto_format=True) for value in numbers]
