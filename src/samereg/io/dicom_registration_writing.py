"""Writes Spatial Registration and Deformable Spatial Registration; the fixed scan's frame is the registered one."""

from pathlib import Path

import numpy as np
import torch
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.source import Source
from samereg.io.dicom_origin import code, decimals, image_references, new_object, refer_to_series, save
from samereg.io.transform_formats.one_grid import OneGrid

_ORTHOGONAL = 1e-6
_METHOD = ("125024", "DCM", "Image Content-based Alignment")
_IDENTITY = Affine.identity()


def write_spatial(transform: Affine, path: Path, *, fixed: Source, moving: Source) -> None:
    """Write an affine map: the matrices take each scan's points to the registered frame, that of the fixed scan.

    Args:
        transform: fixed world to moving world.
        path: file to write.
        fixed: where the fixed scan came from; the object joins its patient and study.
        moving: where the moving scan came from.

    Raises:
        TransformError: a map that has no inverse.
        FileError: the file cannot be written.
    """
    made = _registration(SpatialRegistrationStorage, fixed, moving)
    made.RegistrationSequence = Items(
        [_spatial_item(fixed, _IDENTITY, ""), _spatial_item(moving, transform.inverse(), "samereg")]
    )
    save(made, path)


def write_deformable(parts: OneGrid, path: Path, *, fixed: Source, moving: Source) -> None:
    """Write a matrix, a grid of vectors and a matrix, which take points of the fixed scan to points of the moving one.

    Raises:
        FileError: the file cannot be written.
    """
    made = _registration(DeformableSpatialRegistrationStorage, fixed, moving)
    item = Dataset()
    item.SourceFrameOfReferenceUID = moving.frame_of_reference_uid
    item.ReferencedImageSequence = image_references(moving)
    item.FrameOfReferenceTransformationComment = (
        "samereg" if parts.largest_mm == 0.0 else f"samereg; sampled, points at most {parts.largest_mm:.3f} mm off"
    )
    item.RegistrationTypeCodeSequence = code(*_METHOD)
    item.PreDeformationMatrixRegistrationSequence = Items([matrix_item(parts.before)])
    item.DeformableRegistrationGridSequence = Items([_grid_item(parts.field)])
    item.PostDeformationMatrixRegistrationSequence = Items([matrix_item(parts.after)])
    made.DeformableRegistrationSequence = Items([item])
    save(made, path)


def matrix_item(transform: Affine) -> Dataset:
    """A matrix, row by row, and its type."""
    item = Dataset()
    item.FrameOfReferenceTransformationMatrix = decimals(transform.matrix.flatten().tolist())
    item.FrameOfReferenceTransformationMatrixType = matrix_type(transform)
    return item


def matrix_type(transform: Affine) -> str:
    """RIGID, RIGID_SCALE (right angles kept) or AFFINE; a mirror image is AFFINE.

    Example:
        >>> matrix_type(Affine.identity())
        'RIGID'
    """
    linear = transform.linear
    gram = linear.T @ linear
    scales = gram.diagonal()
    off_mm = (gram - torch.diag(scales)).abs().max() / scales.max()
    if float(off_mm) > _ORTHOGONAL or float(torch.linalg.det(linear)) <= 0.0:
        return "AFFINE"
    return "RIGID" if float((scales - 1.0).abs().max()) <= _ORTHOGONAL else "RIGID_SCALE"


def _registration(kind: UID, fixed: Source, moving: Source) -> FileDataset:
    made = new_object(kind, "REG", fixed, description="samereg registration")
    made.InstanceNumber = 1
    made.ContentLabel = "REGISTRATION"
    made.ContentDescription = "fixed to moving scan"
    made.ContentCreatorName = None
    refer_to_series(made, (fixed, moving))
    return made


def _spatial_item(source: Source, to_registered: Affine, comment: str) -> Dataset:
    item, registration = Dataset(), Dataset()
    item.FrameOfReferenceUID = source.frame_of_reference_uid
    item.ReferencedImageSequence = image_references(source)
    if comment:
        registration.FrameOfReferenceTransformationComment = comment
    registration.RegistrationTypeCodeSequence = code(*_METHOD)
    registration.MatrixSequence = Items([matrix_item(to_registered)])
    item.MatrixRegistrationSequence = Items([registration])
    return item


def _grid_item(field: Displacement) -> Dataset:
    depth, height, width = field.grid.shape
    direction = field.grid.direction
    spacing_mm = field.grid.spacing_mm
    item = Dataset()
    item.ImageOrientationPatient = decimals([*direction[:, 2].tolist(), *direction[:, 1].tolist()])
    item.ImagePositionPatient = decimals(field.grid.origin_mm.tolist())
    item.GridDimensions = [width, height, depth]
    item.GridResolution = [spacing_mm[2], spacing_mm[1], spacing_mm[0]]
    vectors = field.data.detach().cpu().movedim(0, -1).contiguous().numpy()
    item.VectorGridData = vectors.astype(np.dtype("<f4")).tobytes()
    return item
