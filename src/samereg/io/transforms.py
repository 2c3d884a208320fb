"""Reading and writing of ITK transform files, with their order of composition and axes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from samereg.errors import FileError, InputError, TransformError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.io.atomic import atomic_file
from samereg.io.formats import has_suffix
from samereg.io.hdf5_transforms import StoredPart, read_hdf5_parts
from samereg.io.itk import VOXEL_SUFFIXES, grid_of, place_on_grid, quiet_itk, read_array, read_header
from samereg.io.itk_files import itk_path, refuse_short_memory, save_transform
from samereg.io.itk_numbers import require_counts, require_valid_matlab, require_valid_text
from samereg.io.stored import naming
from samereg.io.transform_formats.nifti_vectors import INTENT_DISPLACEMENT, read_vectors
from samereg.ops.ambient import plain_torch

HDF5_SUFFIXES = (".h5", ".hdf5")
WRITTEN_SUFFIXES = (*HDF5_SUFFIXES, ".tfm")
LINEAR_SUFFIXES = (".txt", ".mat")
"""Suffixes of files of one linear map, as in ANTs and Slicer."""
TRANSFORM_SUFFIXES = (*WRITTEN_SUFFIXES, *LINEAR_SUFFIXES)
_REQUIRE_SOUND = {".tfm": require_valid_text, ".txt": require_valid_text, ".mat": require_valid_matlab}
_CUBIC = 3
_FARTHEST_MM = 1e6
"""Maximum translation in mm: beyond it, the linear part is lost to rounding."""


@plain_torch()
def write_transform(transform: Transform, path: str | Path) -> None:
    """Writes a transform as an ITK composite, atomically; `.h5` (compact) or `.tfm` (text).

    ITK applies the last added transform first, so parts are added in reverse order.

    Args:
        transform: affine maps, displacements, velocities (written as displacements) and splines,
            chained or alone.
        path: output file.

    Raises:
        UsageError: a suffix of a format that cannot be written.
        TransformError: an unsupported part.
        FileError: the file cannot be written.
    """
    path = Path(path)
    if not has_suffix(path, WRITTEN_SUFFIXES):
        raise UsageError(f"{path}: has no suffix of a transform format; need {', '.join(WRITTEN_SUFFIXES)}.")
    composite = sitk.CompositeTransform(3)
    for part in reversed(parts(transform)):
        composite.AddTransform(_to_itk(part, path))
    with atomic_file(path) as temporary, quiet_itk():
        save_transform(composite, temporary, name=path)


def to_itk_affine(affine: Affine) -> sitk.AffineTransform:
    """ITK's form of an affine map."""
    stored = sitk.AffineTransform(3)
    stored.SetMatrix(affine.linear.flatten().tolist())
    stored.SetTranslation(affine.translation_mm.tolist())
    return stored


def to_affine(part: sitk.Transform) -> Affine:
    """Converts any linear ITK transform.

    Raises:
        TransformError: numbers that are NaN or infinite.
    """
    # From the images of the origin and the unit vectors, which works for every linear class.
    origin = np.array(part.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(part.TransformPoint(unit)) - origin for unit in np.eye(3).tolist()]
    if not all(isfinite(value) for value in (*origin, *np.ravel(columns))):
        raise TransformError("holds numbers that are NaN or infinite; need finite numbers.")
    if np.abs(origin).max() > _FARTHEST_MM:
        raise TransformError("moves the origin by more than a kilometre; need mm.")
    return Affine.from_parts(torch.from_numpy(np.stack(columns, axis=1)), torch.from_numpy(origin))


@plain_torch()
def read_transform(path: str | Path) -> Transform:
    """Reads an ITK transform file, or a displacement field stored as a vector image.

    Args:
        path: `.h5`, `.tfm`, `.txt` or `.mat` of ITK with affine parts, displacement fields and cubic B-splines; or an
            image of displacements in mm, LPS (for NIfTI 5-D with intent 1007).

    Returns:
        The transform as stored: fixed world to moving world for the `transform.h5` of a registration.

    Raises:
        FileError: missing, damaged, truncated, or an unsupported format.
        TransformError: not three-dimensional, an unsupported kind, or values that are not finite.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        raise FileError(f"{path}: is missing or empty; need a transform file.")
    with naming(path):
        if has_suffix(path, VOXEL_SUFFIXES):
            return _read_field(path)
        if has_suffix(path, TRANSFORM_SUFFIXES):
            return _read_itk(path)
    known = ", ".join((*TRANSFORM_SUFFIXES, *VOXEL_SUFFIXES))
    raise FileError(f"{path}: has an unknown transform format; need {known}.")


def _read_itk(path: Path) -> Transform:
    if has_suffix(path, HDF5_SUFFIXES):
        return chain_all([_from_numbers(part) for part in read_hdf5_parts(path)])
    require_sound = _REQUIRE_SOUND.get(path.suffix.lower())
    if require_sound is not None:
        require_sound(path)
    try:
        with quiet_itk(), itk_path(path) as name:
            stored = sitk.ReadTransform(name)
    except KeyError as error:
        # SimpleITK lacks classes for some linear ITK transforms.
        raise TransformError(f"{path}: holds a transform that is not read; need one affine map, or a field.") from error
    except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
        refuse_short_memory(path, error)
        raise FileError(f"{path}: cannot be read: damaged, truncated, or not a transform file of ITK.") from error
    if stored.GetDimension() != 3:
        raise TransformError(f"{path}: is {stored.GetDimension()}-dimensional; need a transform of 3-D space.")
    return chain_all([_from_itk(part) for part in _applied_order(stored)])


def _read_field(path: Path) -> Displacement:
    header = read_header(path)
    if header.voxels is None and (len(header.sizes), header.components) == (3, 3):
        # ITK reads NaN in NIfTI as 0, and uses the qform if it does not know the sform code.
        return _read_nifti_field(path, in_mm=header.is_in_mm)
    dimension, components = len(header.sizes), header.components
    if (dimension, components) != (3, 3):
        raise TransformError(
            f"{path}: is {dimension}-D with {components} numbers per voxel; need a 3-D image of 3-vectors "
            "(for NIfTI 5-D with intent 1007)."
        )
    if not header.is_in_mm:
        raise TransformError(f"{path}: uses a unit other than mm; need displacements and positions in mm.")
    with _grid_of_field():
        grid = header.grid
    return _displacement(read_array(header), grid)


def _read_nifti_field(path: Path, *, in_mm: bool) -> Displacement:
    if not in_mm:
        raise TransformError(f"{path}: uses a unit other than mm; need displacements and positions in mm.")
    stored = read_vectors(path)
    # As in ITK: vectors of this intent are RAS.
    signs = (-1.0, -1.0, 1.0) if stored.intent == INTENT_DISPLACEMENT else (1.0, 1.0, 1.0)
    with _grid_of_field():
        return Displacement(grid=stored.grid, data=stored.data * torch.tensor(signs)[:, None, None, None])


def _to_itk(part: Transform, path: Path) -> sitk.Transform:
    if isinstance(part, Affine):
        return to_itk_affine(part)
    if isinstance(part, Velocity):
        return _to_itk(part.displacement, path)
    if isinstance(part, Displacement):
        vectors = part.data.detach().cpu().to(torch.float64).movedim(0, -1).contiguous().numpy()
        image = sitk.GetImageFromArray(vectors, isVector=True)
        place_on_grid(image, part.grid)
        return sitk.DisplacementFieldTransform(image)
    if isinstance(part, Spline):
        return _to_itk_spline(part)
    raise TransformError(
        f"{path}: cannot hold a {type(part).__name__}; need affine maps and displacements (sample others first)."
    )


def _to_itk_spline(spline: Spline) -> sitk.Transform:
    images = [sitk.GetImageFromArray(component.contiguous().numpy()) for component in spline.data.detach().cpu()]
    for image in images:
        place_on_grid(image, spline.grid)
    return sitk.BSplineTransform(images, _CUBIC)


def _applied_order(stored: sitk.Transform) -> list[sitk.Transform]:
    if stored.GetTransformEnum() != sitk.sitkComposite:
        return [stored]
    composite = sitk.CompositeTransform(stored)
    nested = [composite.GetNthTransform(n) for n in reversed(range(composite.GetNumberOfTransforms()))]
    return [part for inner in nested for part in _applied_order(inner)]


def _from_itk(part: sitk.Transform) -> Transform:
    if part.GetTransformEnum() == sitk.sitkDisplacementField:
        return _to_displacement(sitk.DisplacementFieldTransform(part).GetDisplacementField())
    if part.GetTransformEnum() == sitk.sitkBSplineTransform:
        return _to_spline(sitk.BSplineTransform(part))
    if part.IsLinear():
        require_counts(part.GetName(), len(part.GetParameters()), list(part.GetFixedParameters()))
        return to_affine(part)
    raise TransformError(f"holds a {part.GetName()}; need affine maps, displacement fields and cubic B-splines.")


def _from_numbers(part: StoredPart) -> Transform:
    if part.kind == "DisplacementFieldTransform":
        with _grid_of_field():
            grid = _grid_of_numbers(part.fixed)
        vectors: NDArray[Any] = part.parameters.reshape(*grid.shape, 3)
        return _displacement(vectors, grid)
    if part.kind == "BSplineTransform":
        grid = _grid_of_numbers(part.fixed)
        coefficients: NDArray[Any] = part.parameters.reshape(3, *grid.shape)
        return _spline(coefficients, grid)
    return to_affine(_linear_of_itk(part))


def _grid_of_numbers(fixed: NDArray[np.float64]) -> Grid:
    """Grid from size, origin, spacing and nine cosines, all along (x, y, z)."""
    affine = np.eye(4)
    affine[:3, :3] = (fixed[9:].reshape(3, 3) * fixed[6:9])[:, ::-1]
    affine[:3, 3] = fixed[3:6]
    width, height, depth = (int(size) for size in fixed[:3])
    return Grid(shape=(depth, height, width), affine=torch.from_numpy(affine))


def _linear_of_itk(part: StoredPart) -> sitk.Transform:
    """ITK object of a linear class by its name, which only ITK's file readers can create."""
    if not (np.isfinite(part.parameters).all() and np.isfinite(part.fixed).all()):
        raise TransformError("holds numbers that are NaN or infinite; need finite numbers.")
    parameters, fixed = (" ".join(map(repr, numbers.tolist())) for numbers in (part.parameters, part.fixed))
    with tempfile.TemporaryDirectory(prefix="samereg-") as folder, quiet_itk():
        path = Path(folder) / "linear.tfm"
        path.write_text(
            f"#Insight Transform File V1.0\n#Transform 0\nTransform: {part.kind}_double_3_3\n"
            f"Parameters: {parameters}\nFixedParameters: {fixed}\n",
            encoding="ascii",
        )
        try:
            stored: sitk.Transform = sitk.ReadTransform(path)
        except (RuntimeError, KeyError) as error:
            raise TransformError(f"holds a {part.kind}; need affine maps, fields and cubic B-splines.") from error
    if not stored.IsLinear():
        raise TransformError(f"holds a {part.kind}; need affine maps, fields and cubic B-splines.")
    return stored


def _to_spline(part: sitk.BSplineTransform) -> Spline:
    if part.GetOrder() != _CUBIC:
        raise TransformError(f"holds a BSplineTransform of order {part.GetOrder()}; need cubic splines, order 3.")
    images = part.GetCoefficientImages()
    return _spline(np.stack([sitk.GetArrayFromImage(image) for image in images]), grid_of(images[0]))


def _spline(coefficients: NDArray[Any], grid: Grid) -> Spline:
    """Spline from coefficients (3, d, h, w)."""
    data = torch.from_numpy(coefficients.astype(np.float64))
    if not bool(torch.isfinite(data).all()):
        raise TransformError("holds coefficients that are NaN or infinite; need finite numbers.")
    return Spline(grid=grid, data=data)


def _to_displacement(image: sitk.Image) -> Displacement:
    with _grid_of_field():
        grid = grid_of(image)
    return _displacement(sitk.GetArrayViewFromImage(image), grid)


def _displacement(vectors: NDArray[Any], grid: Grid) -> Displacement:
    """Displacement from vectors (d, h, w, 3)."""
    with np.errstate(over="ignore"):
        data = torch.from_numpy(np.moveaxis(vectors, -1, 0).astype(np.float32, order="C"))
    if not bool(torch.isfinite(data).all()):
        raise TransformError("holds displacements that are NaN or infinite; need finite numbers.")
    with _grid_of_field():
        return Displacement(grid=grid, data=data)


@contextmanager
def _grid_of_field() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise TransformError(f"holds a displacement field on an invalid grid: {error}") from error
