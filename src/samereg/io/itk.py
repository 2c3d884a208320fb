"""Conversion between ITK images and arrays on grids; MetaImage and NRRD files.

ITK interprets headers. Voxels of MetaImage and NRRD are read here, because ITK ignores damage.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.io.formats import has_suffix
from samereg.io.grid_entries import entries_of_array
from samereg.io.image_format import ImageFormat
from samereg.io.itk_files import itk_path, refuse_short_memory, save_image
from samereg.io.metaimage_header import read_metaimage_header
from samereg.io.nifti import (
    KEPT,
    NIFTI_SUFFIXES,
    grid_of_header,
    is_nifti,
    mm_per_unit,
    read_nifti_header,
    require_whole,
)
from samereg.io.nrrd_header import read_nrrd_header
from samereg.io.silence import silenced
from samereg.io.stored import StoredImage, naming, require_usable_grid, require_volume
from samereg.io.voxel_data import VoxelData, read_voxels

_LOG = logging.getLogger(__name__)

_COMPLEX = (
    sitk.sitkComplexFloat32,
    sitk.sitkComplexFloat64,
)
_REASON = re.compile(r"ReadImageInformation: (number of domain axes[^.]*\.)")
"""ITK's message for valid headers that do not describe one volume in space."""
_OF_ITK = ("ITK_", "NRRD_")
"""Entries that ITK derives from the grid and axes."""
NRRD_SUFFIXES, METAIMAGE_SUFFIXES = (".nrrd", ".nhdr"), (".mha", ".mhd")
VOXEL_SUFFIXES = (*NIFTI_SUFFIXES, *METAIMAGE_SUFFIXES, *NRRD_SUFFIXES)
"""Of every file of voxels that is read."""
_SPACE_AXES = 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageHeader:
    """Header of an image file.

    Attributes:
        path: the file.
        sizes: voxels along its axes, (w, h, d, ...).
        components: values per voxel.
        affine: from (d, h, w, 1) to LPS mm, of the first three axes, according to ITK; see `grid`.
        steps: spacing of all axes, in mm for the first three.
        is_in_mm: whether the unit of the file is the millimetre.
        doubt: assumptions about the position; empty if there are none.
        voxels: location of the voxel data; None if ITK reads them (NIfTI).
        component_axis: axis of the file, (w, h, d, ...), of the values of a voxel.
    """

    path: Path
    sizes: tuple[int, ...]
    components: int
    affine: NDArray[np.float64]
    steps: tuple[float, ...]
    is_in_mm: bool
    doubt: str
    voxels: VoxelData | None
    component_axis: int

    @property
    def grid(self) -> Grid:
        """Grid of the first three axes; for NIfTI as in `read_nifti`."""
        width, height, depth = self.sizes[:_SPACE_AXES]
        if is_nifti(self.path):
            return grid_of_header(self.path, read_nifti_header(self.path), (depth, height, width))
        return Grid(shape=(depth, height, width), affine=torch.from_numpy(self.affine))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    """Parts of a header that are parsed here; without voxels if ITK reads them."""

    voxels: VoxelData | None = None
    mm_per_unit: tuple[float, float, float] = (1.0, 1.0, 1.0)
    component_axis: int = 0
    doubt: str = ""


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Context that suppresses output of ITK and its libraries to stderr, which is of no use to users."""
    with silenced():
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def read_itk(path: Path) -> StoredImage:
    """Reads the voxels and grid of a MetaImage or NRRD file.

    Raises:
        FileError: damaged, truncated, longer than its header says, or another format.
        GeometryError: not a single 3-D volume, or an invalid grid.
        InputError: a non-numeric voxel type.
    """
    header = read_header(path)
    require_volume(path, header.sizes, components=header.components)
    with naming(path):
        grid = header.grid
        require_usable_grid(grid)
    array = read_array(header)
    return StoredImage(array=array.reshape(grid.shape), grid=grid)


def read_header(path: Path) -> ImageHeader:
    """Reads the header of a MetaImage, NRRD or NIfTI file.

    Raises:
        FileError: damaged, or another format.
        GeometryError: an invalid position.
        InputError: a voxel type other than real numbers.
    """
    with naming(path):
        described = _described(path)
        reader = _reader(path)
        header = ImageHeader(
            path=path,
            sizes=tuple(reader.GetSize()),
            components=reader.GetNumberOfComponents(),
            affine=_affine(reader, described.mm_per_unit),
            steps=tuple(reader.GetSpacing()),
            is_in_mm=set(described.mm_per_unit) == {1.0},
            doubt=described.doubt,
            voxels=described.voxels,
            component_axis=described.component_axis,
        )
        if header.voxels is not None:
            _require_agreement(header, header.voxels)
    return header


def read_array(header: ImageHeader) -> NDArray[Any]:
    """Reads the voxels of a file: the slowest axis first, and the values of a voxel last if there are several.

    Raises:
        FileError: damaged, truncated, or longer than its header says.
    """
    if header.doubt:
        _LOG.warning("%s: %s", header.path, header.doubt)
    with naming(header.path):
        if header.voxels is None:
            return _read_by_itk(header.path)
        array = read_voxels(header.voxels)
    if header.components == 1:
        return array.reshape(header.sizes[::-1])
    return np.moveaxis(array, array.ndim - 1 - header.component_axis, -1)


def write_itk(array: NDArray[Any], grid: Grid, path: Path, like: Path | None = None) -> None:
    """Writes an array (d, h, w) as compressed MetaImage or NRRD, with additional entries of `like` of that format."""
    image = sitk.GetImageFromArray(array)
    place_on_grid(image, grid)
    with quiet_itk():
        if like is not None and like.suffix.lower() == path.suffix.lower():
            for name, text in further_entries(like, array[None]).items():
                image.SetMetaData(name, text)
        save_image(image, path, name=path)


def further_entries(path: Path, array: NDArray[Any]) -> dict[str, str]:
    """Additional header entries of a file, such as segment names and modality, for another array (c, d, h, w).

    Entries that depend on the grid or data type are dropped, or recomputed for the array.
    """
    reader = sitk.ImageFileReader()
    with quiet_itk(), itk_path(path) as file_name:
        reader.SetFileName(file_name)
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            return {}
    entries = {name: reader.GetMetaData(name) for name in reader.GetMetaDataKeys() if not name.startswith(_OF_ITK)}
    if is_nifti(path):
        return {name: text for name, text in entries.items() if name in KEPT}
    return entries_of_array(entries, array)


def grid_of(image: sitk.Image) -> Grid:
    """Grid of an ITK image, whose axes run (w, h, d)."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    width, height, depth = image.GetSize()
    return Grid(shape=(depth, height, width), affine=torch.from_numpy(affine))


def place_on_grid(image: sitk.Image, grid: Grid) -> None:
    """Sets origin, spacing and direction of an ITK image, whose axes run (w, h, d)."""
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetDirection(grid.direction.flip(1).flatten().tolist())


def _described(path: Path) -> _Described:
    if has_suffix(path, NRRD_SUFFIXES):
        nrrd = read_nrrd_header(path)
        return _Described(
            voxels=nrrd.voxels,
            mm_per_unit=nrrd.mm_per_unit,
            component_axis=nrrd.component_axis,
            doubt=nrrd.doubt,
        )
    if has_suffix(path, METAIMAGE_SUFFIXES):
        meta = read_metaimage_header(path)
        return _Described(voxels=meta.voxels, mm_per_unit=(meta.mm_per_unit, meta.mm_per_unit, meta.mm_per_unit))
    header = read_nifti_header(path)
    if int(header["sform_code"]) > 0 and not np.isfinite(header.get_sform()).all():
        # ITK inverts the matrix unchecked, and may not terminate.
        raise GeometryError("has an sform that is NaN or infinite; need finite numbers.")
    factor = mm_per_unit(header)
    return _Described(mm_per_unit=(factor, factor, factor))


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    with quiet_itk(), itk_path(path) as name:
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
        except (RuntimeError, MemoryError) as error:
            refuse_short_memory(path, error)
            raise _unreadable(error) from error
    if reader.GetPixelID() in _COMPLEX:
        raise InputError("holds voxels of type complex; need whole or real numbers.")
    if any(not step > 0.0 for step in reader.GetSpacing()[:_SPACE_AXES]):
        raise GeometryError(f"has a spacing of {reader.GetSpacing()} mm; need positive numbers.")
    return reader


def _affine(reader: sitk.ImageFileReader, mm_per_unit: tuple[float, float, float]) -> NDArray[np.float64]:
    axes = reader.GetDimension()
    affine = np.eye(4)
    count = min(axes, _SPACE_AXES)
    directions = np.array(reader.GetDirection()).reshape(axes, axes)[:count, :count] * reader.GetSpacing()[:count]
    affine[:count, :count] = directions
    affine[:count, 3] = reader.GetOrigin()[:count]
    affine[:3] *= np.array(mm_per_unit)[:, None]
    return affine[:, [2, 1, 0, 3]]


def _require_agreement(header: ImageHeader, voxels: VoxelData) -> None:
    """Checks that ITK and the parser of this project agree on a header."""
    sizes = list(voxels.sizes)
    if header.components > 1:
        del sizes[header.component_axis]
    if [n for n in sizes if n > 1] != [n for n in header.sizes if n > 1]:
        shown, other = (" x ".join(map(str, n)) for n in (voxels.sizes, header.sizes))
        raise FileError(f"has sizes of {shown}, which ITK takes for {other}; need a plain 3-D image.")


def _read_by_itk(path: Path) -> NDArray[Any]:
    require_whole(path)
    with quiet_itk(), itk_path(path) as name:
        try:
            array: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(name))
        except (RuntimeError, MemoryError) as error:
            refuse_short_memory(path, error)
            raise _unreadable(error) from error
    return array


def _unreadable(error: Exception) -> InputError:
    if "pacing" in str(error):
        return GeometryError("has zero or negative spacing; need positive numbers.")
    reason = _REASON.search(str(error))
    if reason is not None:
        return FileError(f"has a header that cannot be used: {' '.join(reason[1].split())}")
    return FileError("cannot be read: truncated, damaged, or not the format that its name says.")


def _voxel_files(path: Path) -> tuple[Path, ...]:
    """Files that a header names."""
    voxels = read_header(path).voxels
    return () if voxels is None else tuple(file for file in voxels.files if file != path)


METAIMAGE = ImageFormat(
    name="MetaImage",
    suffixes=METAIMAGE_SUFFIXES,
    written=(".mha",),
    read=read_itk,
    write=write_itk,
    read_with=_voxel_files,
)
NRRD = ImageFormat(
    name="NRRD", suffixes=NRRD_SUFFIXES, written=(".nrrd",), read=read_itk, write=write_itk, read_with=_voxel_files
)
