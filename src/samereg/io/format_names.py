"""Names of the formats, for flags and settings; imports no image library, so that `--help` stays fast."""

from typing import Literal

TransformFormatName = Literal[
    "itk", "field", "nifti-1006", "ants", "elastix", "greedy", "niftyreg", "learn2reg", "fsl", "dicom"
]

PointFormatName = Literal["csv", "markups", "fcsv", "learn2reg", "vtk", "stl"]
