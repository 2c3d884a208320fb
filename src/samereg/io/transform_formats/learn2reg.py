"""Learn2Reg fields: displacements in voxels, from fixed to moving voxels, along the NIfTI axes.

`.nii.gz` holds (i, j, k, 3) on the fixed grid; `.npz` (3, i, j, k), in half precision, on every second voxel.
"""

import io
import zipfile
import zlib
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from samereg.errors import FileError, TransformError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.fields import from_transform
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.formats import Recognised, has_suffix
from samereg.io.nifti import NIFTI_SUFFIXES
from samereg.io.transform_formats.beginning import beginning
from samereg.io.transform_formats.format import TransformFormat
from samereg.io.transform_formats.nifti_vectors import read_vectors, vector_header, write_vectors
from samereg.io.transform_formats.spaces import Spaces

_NPZ = (".npz",)
_ZIP_MAGIC = b"PK"
_MAX_INFLATION = 1032
"""Maximum compression ratio of deflate."""


_DAMAGE = (
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of NumPy and zipfile for invalid bytes."""


def read_learn2reg(path: Path, spaces: Spaces) -> Transform:
    """Reads a field into world coordinates of the two images, whose grids may differ.

    Raises:
        UsageError: an image is not given.
        TransformError: sizes that do not fit the fixed image.
    """
    fixed, moving = _both(spaces, path)
    vectors_vox, grid = _read_npz(path, fixed) if has_suffix(path, _NPZ) else _read_nifti(path, fixed)
    # T = A_m (i + d(i)): d in voxels becomes mm by the fixed axes, and the grids' difference an affine map after it.
    to_world = fixed.affine[:3, :3].to(vectors_vox)
    data = torch.einsum("ij,jdhw->idhw", to_world, vectors_vox)
    if not bool(torch.isfinite(data).all()):
        raise TransformError(f"{path}: holds displacements too large for single precision; need voxels.")
    field = Displacement(grid=grid, data=data)
    if fixed.is_close(moving):
        return field
    return chain(field, between_grids(fixed, moving))


def write_learn2reg(transform: Transform, path: Path, spaces: Spaces) -> tuple[Path, ...]:
    """Writes the field of a transform between two images.

    Raises:
        UsageError: an image is not given.
    """
    fixed, moving = _both(spaces, path)
    is_npz = has_suffix(path, _NPZ)
    grid = half_grid(fixed) if is_npz else fixed
    back = chain(transform, between_grids(fixed, moving).inverse())
    field = from_transform(back, grid)
    to_index = torch.linalg.inv(fixed.affine[:3, :3]).to(field.data)
    vectors_vox = torch.einsum("ij,jdhw->idhw", to_index, field.data).flip(0)
    if is_npz:
        array = vectors_vox.permute(0, 3, 2, 1).contiguous().numpy().astype(np.float16)
        with atomic_file(path) as temporary:
            np.savez_compressed(temporary, array)
    else:
        write_vectors(vectors_vox, grid, path, five_dimensional=False, intent=(0, "", 0.0))
    return (path,)


def between_grids(fixed: Grid, moving: Grid) -> Affine:
    """World map from each fixed voxel to the moving voxel of the same index."""
    matrix: Float64[Tensor, "4 4"] = moving.affine @ torch.linalg.inv(fixed.affine)
    matrix[3] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    return Affine(matrix=matrix)


def half_grid(grid: Grid) -> Grid:
    """Grid with half as many voxels per axis and the same corner centres, as upsampled by the challenge."""
    depth, height, width = (max(2, n // 2) for n in grid.shape)
    return _between_corners(grid, (depth, height, width))


def _between_corners(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    affine = grid.affine.clone()
    for axis, (whole, count) in enumerate(zip(grid.shape, shape, strict=True)):
        affine[:3, axis] *= (whole - 1.0) / max(1, count - 1)
    return Grid(shape=shape, affine=affine)


def _read_nifti(path: Path, fixed: Grid) -> tuple[Float[Tensor, "3 d h w"], Grid]:
    stored = read_vectors(path)
    if stored.grid.shape != fixed.shape:
        raise TransformError(
            f"{path}: has {stored.sizes[:3]} voxels along (i, j, k); the fixed image has {fixed.shape[::-1]}."
        )
    return stored.data.flip(0), fixed


def _read_npz(path: Path, fixed: Grid) -> tuple[Float[Tensor, "3 d h w"], Grid]:
    array = _npz_array(path)
    if array.ndim != 4 or array.shape[0] != 3 or min(array.shape) < 2:
        raise TransformError(f"{path}: has sizes {array.shape}; need (3, i, j, k).")
    shape = (array.shape[3], array.shape[2], array.shape[1])
    if shape != fixed.shape and any(
        2 * n not in (whole, whole - 1) for n, whole in zip(shape, fixed.shape, strict=True)
    ):
        raise TransformError(
            f"{path}: has {shape[::-1]} voxels along (i, j, k); need {fixed.shape[::-1]} of the fixed image, or half."
        )
    data = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 2, 1)).astype(np.float32)).flip(0)
    if not bool(torch.isfinite(data).all()):
        raise TransformError(f"{path}: holds displacements that are NaN or infinite; need finite numbers.")
    return data, _between_corners(fixed, shape)


def _npz_array(path: Path) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(path) as stored:
            entry = stored.infolist()[0]
            if entry.file_size > _MAX_INFLATION * path.stat().st_size:
                raise FileError(f"{path}: is damaged: it claims {entry.file_size} bytes, far more than it holds.")
            content = stored.read(entry)
        return _npy_array(content)
    except (OSError, ValueError, EOFError, *_DAMAGE) as error:
        raise FileError(f"{path}: cannot be read: missing, truncated, damaged, or not .npz.") from error


def _npy_array(content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject or prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("another number of values than its header says")
    array = np.frombuffer(content, dtype, offset=stream.tell())
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)


def _both(spaces: Spaces, path: Path) -> tuple[Grid, Grid]:
    purpose = f"{path}: a Learn2Reg field, in voxels of both images,"
    return spaces.need_fixed(purpose), spaces.need_moving(purpose)


def _recognise(path: Path) -> Recognised | None:
    if has_suffix(path, _NPZ):
        return Recognised(
            format="learn2reg",
            certainty="declared" if beginning(path).startswith(_ZIP_MAGIC) else "name",
            why="the .npz of the Learn2Reg challenge",
        )
    header = vector_header(path)
    if header is None or not header.is_4d:
        return None
    return Recognised(format="learn2reg", certainty="compatible", why="is 4-D with three numbers per voxel")


LEARN2REG = TransformFormat(
    name="learn2reg",
    holds="fields in voxels",
    frame="axes of the image as stored in NIfTI",
    units="voxels of the two images",
    suffixes=(*NIFTI_SUFFIXES, *_NPZ),
    written=_NPZ,
    needs=("fixed", "moving"),
    recognise=_recognise,
    read=read_learn2reg,
    write=write_learn2reg,
)
