"""Every format that is damaged."""

from benchmarks.faults.dicom_files import DICOM_FORMATS
from benchmarks.faults.format import Format
from benchmarks.faults.image_files import IMAGE_FORMATS
from benchmarks.faults.point_files import POINT_FORMATS
from benchmarks.faults.run_files import RUN_FORMATS
from benchmarks.faults.transform_files import TRANSFORM_FORMATS

FORMATS: tuple[Format, ...] = (*IMAGE_FORMATS, *DICOM_FORMATS, *TRANSFORM_FORMATS, *POINT_FORMATS, *RUN_FORMATS)
