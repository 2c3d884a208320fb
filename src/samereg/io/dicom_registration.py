"""DICOM Spatial Registration and Deformable Spatial Registration: matrices and grids between frames of reference.

Which image is fixed is not known here: each part says how points of the registered frame of reference come to its own.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage, ExplicitVRBigEndian, SpatialRegistrationStorage
from scipy import ndimage

from samereg.errors import FileError, GeometryError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.io.dicom_headers import BAD_HEADER, quiet_pydicom

_LOG = logging.getLogger(__name__)

REGISTRATIONS = (SpatialRegistrationStorage, DeformableSpatialRegistrationStorage)
_LAST_ROW_TOLERANCE = 1e-6
_COMMUTING = 1e-6
"""Products of matrices in the two orders that differ by less are the same map."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegisteredPart:
    """One item of a registration: how the registered frame of reference lies to that of some images.

    Attributes:
        frame_uid: frame of reference of the images; empty where the item names none.
        instance_uids: images that the item names; none where it is about all of the frame.
        to_source: points of the registered frame to points of the images.
    """

    frame_uid: str
    instance_uids: frozenset[str]
    to_source: Transform

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every point where it is."""
        return isinstance(self.to_source, Affine) and bool(
            torch.allclose(self.to_source.matrix, torch.eye(4, dtype=torch.float64), rtol=0.0, atol=1e-9)
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredRegistration:
    """What a registration object says.

    Attributes:
        frame_uid: the registered frame of reference.
        parts: one for each item.
    """

    frame_uid: str
    parts: tuple[RegisteredPart, ...]


def is_registration(path: Path) -> bool:
    """Whether a DICOM file says that it is a registration object."""
    with quiet_pydicom():
        try:
            header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True, force=True)
            return header.get("SOPClassUID") in REGISTRATIONS
        except BAD_HEADER:
            return False  # then it says nothing


def read_registration(path: Path) -> StoredRegistration:
    """The parts of a registration object.

    Raises:
        FileError: missing, damaged, truncated, or another object.
        TransformError: a matrix or a grid that cannot be used.
    """
    with quiet_pydicom():
        try:
            stored = pydicom.dcmread(path)
            deforms = "DeformableRegistrationSequence" in stored
            if not deforms and "RegistrationSequence" not in stored:
                raise FileError(f"{path}: is no registration object; need Spatial or Deformable Spatial Registration.")
            items = stored.DeformableRegistrationSequence if deforms else stored.RegistrationSequence
            is_big = stored.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
            parts = tuple(_deformable(path, item, is_big) if deforms else _spatial(path, item) for item in items)
            return StoredRegistration(frame_uid=str(stored.get("FrameOfReferenceUID") or ""), parts=parts)
        except (pydicom.errors.InvalidDicomError, *BAD_HEADER) as error:
            raise FileError(
                f"{path}: cannot be read as a DICOM registration: damaged, truncated, or without what it needs "
                f"({error or type(error).__name__})."
            ) from error


def _spatial(path: Path, item: Dataset) -> RegisteredPart:
    matrices = [_matrix(path, each) for each in item.MatrixRegistrationSequence[0].MatrixSequence]
    if not matrices:
        raise TransformError(f"{path}: has an item without a matrix; need one in each.")
    product = matrices[0]
    for each in matrices[1:]:
        if not np.allclose(each @ product, product @ each, rtol=0.0, atol=_COMMUTING):
            _LOG.warning(
                "%s: has several matrices in one item, and other programs multiply them in the other order; the first "
                "is applied first, as the standard says",
                path,
            )
        product = each @ product
    to_registered = Affine(matrix=torch.from_numpy(product))
    return RegisteredPart(
        frame_uid=str(item.get("FrameOfReferenceUID") or ""),
        instance_uids=_images(item),
        to_source=to_registered.inverse(),
    )


def _deformable(path: Path, item: Dataset, is_big: bool) -> RegisteredPart:
    before, after = (
        _only_matrix(path, item.get(f"{name}DeformationMatrixRegistrationSequence")) for name in ("Pre", "Post")
    )
    chained: list[Transform] = [before]
    grids = list(item.get("DeformableRegistrationGridSequence") or ())
    chained += [_field(path, grid, before, is_big) for grid in grids[:1]]
    return RegisteredPart(
        frame_uid=str(item.get("SourceFrameOfReferenceUID") or ""),
        instance_uids=_images(item),
        to_source=chain_all([*chained, after]),
    )


def _field(path: Path, item: Dataset, before: Affine, is_big: bool) -> Displacement:
    """Offsets where `before` has taken the lattice, which stands in the registered frame."""
    columns, rows, planes = (int(n) for n in item.GridDimensions)
    raw = item.VectorGridData
    if len(raw) < columns * rows * planes * 12:
        raise FileError(
            f"{path}: holds {len(raw)} bytes of vectors; its grid of {columns} x {rows} x {planes} needs "
            f"{columns * rows * planes * 12}."
        )
    vectors = np.frombuffer(raw, ">f4" if is_big else "<f4", columns * rows * planes * 3)
    data = _defined(path, vectors.astype(np.float32).reshape(planes, rows, columns, 3))
    affine = torch.from_numpy(_lattice(item))
    try:
        grid = Grid(shape=(planes, rows, columns), affine=before.matrix @ affine)
    except GeometryError as error:
        raise TransformError(f"{path}: has an impossible grid: {error}.") from error
    return Displacement(grid=grid, data=torch.from_numpy(data).movedim(-1, 0).contiguous())


def _lattice(item: Dataset) -> NDArray[np.float64]:
    along_row, down_column = np.array(item.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    spacing = np.array(item.GridResolution, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(along_row, down_column) * spacing[2]
    affine[:3, 1] = down_column * spacing[1]
    affine[:3, 2] = along_row * spacing[0]
    affine[:3, 3] = np.array(item.ImagePositionPatient, dtype=np.float64)
    return affine


def _defined(path: Path, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (d, h, w, 3) with those of NaN, which stand for "undefined", replaced by the nearest defined ones."""
    undefined = ~np.isfinite(vectors).all(axis=-1)
    if not undefined.any():
        return vectors
    if undefined.all():
        raise TransformError(f"{path}: holds no defined vector; need finite displacements in mm.")
    _LOG.warning(
        "%s: leaves %d of %d vectors undefined; there the nearest defined one is taken",
        path,
        int(undefined.sum()),
        undefined.size,
    )
    nearest = ndimage.distance_transform_edt(undefined, return_distances=False, return_indices=True)
    filled: NDArray[np.float32] = vectors[nearest[0], nearest[1], nearest[2]]
    return filled


def _only_matrix(path: Path, items: Any) -> Affine:
    if not items:
        return Affine.identity()
    return Affine(matrix=torch.from_numpy(_matrix(path, items[0])))


def _matrix(path: Path, item: Dataset) -> NDArray[np.float64]:
    matrix = np.array([float(value) for value in item.FrameOfReferenceTransformationMatrix]).reshape(4, 4)
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1), rtol=0.0, atol=_LAST_ROW_TOLERANCE):
        found = " ".join(f"{value:g}" for value in matrix[3])
        raise TransformError(f"{path}: holds a matrix whose last row is {found}; need finite numbers and 0 0 0 1.")
    matrix[3] = (0.0, 0.0, 0.0, 1.0)
    return matrix


def _images(item: Dataset) -> frozenset[str]:
    return frozenset(str(each.ReferencedSOPInstanceUID) for each in item.get("ReferencedImageSequence") or ())
