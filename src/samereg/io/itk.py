"""Between ITK images and arrays on grids; MetaImage and NRRD files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.io.stored import StoredImage, naming, require_usable_grid, require_volume

_MOST_INFLATION = 1032
"""Bytes that one byte of deflated data can stand for at most: a header that asks for more is wrong."""
_NUMPY_NAMES = {
    sitk.sitkInt8: "int8",
    sitk.sitkUInt8: "uint8",
    sitk.sitkInt16: "int16",
    sitk.sitkUInt16: "uint16",
    sitk.sitkInt32: "int32",
    sitk.sitkUInt32: "uint32",
    sitk.sitkInt64: "int64",
    sitk.sitkUInt64: "uint64",
    sitk.sitkFloat32: "float32",
    sitk.sitkFloat64: "float64",
}
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
_OF_ITK = ("ITK_", "NRRD_")
"""Entries that ITK makes of the grid and the axes."""
_DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels are in another file."""


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings, which tell users nothing they can act on, from the error stream."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def read_itk(path: Path) -> StoredImage:
    """Voxels and grid of a MetaImage or NRRD file.

    Raises:
        FileError: damaged, truncated, or another format.
        GeometryError: not one 3-D volume, or a grid that cannot be used.
        InputError: a type of voxel that is no number.
    """
    with quiet_itk():
        image = _read(path)
    with naming(path):
        grid = grid_of(image)
        require_usable_grid(grid)
    return StoredImage(array=sitk.GetArrayFromImage(image), grid=grid)


def write_itk(array: NDArray[Any], grid: Grid, path: Path, like: Path | None = None) -> None:
    """Write an array (d, h, w) as MetaImage or NRRD, compressed; further entries are those of `like` if of one kind."""
    image = sitk.GetImageFromArray(array)
    place_on_grid(image, grid)
    with quiet_itk():
        if like is not None and like.suffix.lower() == path.suffix.lower():
            for name, text in further_entries(like).items():
                image.SetMetaData(name, text)
        sitk.WriteImage(image, str(path), useCompression=True)


def further_entries(path: Path) -> dict[str, str]:
    """Entries of a header that say nothing about grid and type: names of segments, modality, and what else there is."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return {}
    names = [name for name in reader.GetMetaDataKeys() if not name.startswith(_OF_ITK)]
    return {name: reader.GetMetaData(name) for name in names}


def grid_of(image: sitk.Image) -> Grid:
    """Grid of an ITK image, whose axes run (w, h, d)."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    width, height, depth = image.GetSize()
    return Grid(shape=(depth, height, width), affine=torch.from_numpy(affine))


def place_on_grid(image: sitk.Image, grid: Grid) -> None:
    """Give an ITK image, whose axes run (w, h, d), the place of a grid."""
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetDirection(grid.direction.flip(1).flatten().tolist())


def _read(path: Path) -> sitk.Image:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _refuse_wrong_kind(path, reader)
        image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    return _first_volume(image)


def _first_volume(image: sitk.Image) -> sitk.Image:
    sizes = image.GetSize()
    if len(sizes) == 3:
        return image
    # Only axes of one element are left to drop here.
    volume: sitk.Image = sitk.Extract(image, [*sizes[:3], *(0 for _ in sizes[3:])], [0] * len(sizes))
    return volume


def _refuse_wrong_kind(path: Path, reader: sitk.ImageFileReader) -> None:
    if reader.GetPixelID() in _COMPLEX:
        raise InputError(f"{path}: holds voxels of type complex; need whole or real numbers.")
    sizes = require_volume(path, tuple(reader.GetSize()), components=reader.GetNumberOfComponents())
    if any(step <= 0.0 for step in reader.GetSpacing()):
        raise GeometryError(f"{path}: has a spacing of {reader.GetSpacing()} mm; need positive numbers.")
    dtype = _NUMPY_NAMES.get(reader.GetPixelID())
    if dtype is None:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise InputError(f"{path}: holds voxels of type {kind}; need whole or real numbers.")
    needed = sizes[0] * sizes[1] * sizes[2] * np.dtype(dtype).itemsize
    if path.suffix.lower() not in _DETACHED and needed > _MOST_INFLATION * path.stat().st_size:
        raise FileError(f"{path}: is truncated or damaged: its voxels take {needed} bytes, far more than it holds.")


def _unreadable(path: Path, error: Exception) -> InputError:
    if "pacing" in str(error):
        return GeometryError(f"{path}: has zero or negative spacing; need positive numbers.")
    return FileError(f"{path}: cannot be read: truncated, damaged, or not the format that its name says.")
