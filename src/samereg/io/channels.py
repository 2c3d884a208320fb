"""Multi-channel images: 4-D series and vector images, read and written by ITK."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from samereg.errors import GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.io.atomic import atomic_file
from samereg.io.formats import has_suffix
from samereg.io.itk import VOXEL_SUFFIXES, further_entries, place_on_grid, quiet_itk, read_array, read_header
from samereg.io.itk_files import save_image
from samereg.io.stored import naming, require_usable_grid

Layout = Literal["series", "vectors"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChannelImage:
    """Image with several values per voxel.

    Attributes:
        array: (c, d, h, w), in the data type of the file.
        grid: where the voxels lie.
        layout: whether channels are volumes of a series or components of vectors.
        step: spacing between the volumes of a series, in the unit of the file; 1 for vectors.
    """

    array: NDArray[Any]
    grid: Grid
    layout: Layout
    step: float = 1.0


def has_channels(path: Path) -> bool:
    """Whether a file has several values per voxel; False for unreadable files, which `read_volume` refuses."""
    if not path.is_file() or not has_suffix(path, VOXEL_SUFFIXES):
        return False
    try:
        header = read_header(path)
    except InputError:
        return False
    return header.components > 1 or any(n > 1 for n in header.sizes[3:])


def read_channels(path: Path) -> ChannelImage:
    """Reads the channels of a 4-D or vector image.

    Raises:
        FileError: damaged, truncated, or longer than its header says.
        GeometryError: more than four dimensions, or an invalid grid.
        InputError: complex numbers, or numbers that are not finite.
    """
    header = read_header(path)
    sizes, components = header.sizes, header.components
    if len(sizes) not in (3, 4) or (len(sizes) == 4 and components > 1):
        shown = " x ".join(map(str, sizes))
        raise GeometryError(f"{path}: has {shown} voxels of {components} numbers; need a 4-D image, or 3-D of vectors.")
    with naming(path):
        grid = header.grid
        require_usable_grid(grid)
    array = read_array(header)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: holds NaN or infinity; need finite numbers.")
    is_series = len(sizes) == 4
    return ChannelImage(
        array=array if is_series else np.moveaxis(array, -1, 0),
        grid=grid,
        layout="series" if is_series else "vectors",
        step=float(header.steps[3]) if is_series else 1.0,
    )


def write_channels(image: ChannelImage, path: Path, *, like: Path) -> None:
    """Writes channels in their layout and data type, with the additional header entries of `like`.

    Raises:
        FileError: the file cannot be written.
    """
    stored = _series(image) if image.layout == "series" else _vectors(image)
    if like.suffix.lower() == path.suffix.lower():
        for name, text in further_entries(like, image.array).items():
            stored.SetMetaData(name, text)
    with atomic_file(path) as temporary, quiet_itk():
        save_image(stored, temporary, name=path)


def _series(image: ChannelImage) -> sitk.Image:
    volumes = []
    for channel in image.array:
        volume = sitk.GetImageFromArray(np.ascontiguousarray(channel))
        place_on_grid(volume, image.grid)
        volumes.append(volume)
    series: sitk.Image = sitk.JoinSeries(volumes, 0.0, image.step)
    return series


def _vectors(image: ChannelImage) -> sitk.Image:
    stored = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(image.array, 0, -1)), isVector=True)
    place_on_grid(stored, image.grid)
    return stored
