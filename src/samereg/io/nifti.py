"""NIfTI-1 and NIfTI-2 files; the only image module that uses RAS coordinates."""

import gzip
import logging
from math import isfinite, prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from samereg.errors import FileError, GeometryError, InputError
from samereg.geometry.grid import Grid, corners_mm
from samereg.io.formats import has_suffix
from samereg.io.image_format import ImageFormat
from samereg.io.packed import GZIP_MAGIC, unpack, unpack_start
from samereg.io.stored import StoredImage, naming, require_number_type, require_usable_grid, require_volume

_LOG = logging.getLogger(__name__)

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NIFTI_SUFFIXES = (".nii", ".nii.gz")
KEPT = (
    "descrip",
    "aux_file",
    "intent_code",
    "intent_name",
    "intent_p1",
    "intent_p2",
    "intent_p3",
    "cal_min",
    "cal_max",
)
"""Header entries that do not depend on the grid or data type."""
_ENOUGH = 65536
"""Number of bytes of a compressed file that contain its header, including the gzip header."""
_HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_VECTOR_INTENTS = (1006, 1007)
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""`xyzt_units` codes of metres and micrometres; 2 is mm, and 0 (unknown) is read as mm."""
_SPACE_UNITS = 7
"""Bits of `xyzt_units` for the spatial unit."""
_FORM_TOLERANCE_MM = 0.1
"""Maximum difference in mm between consistent sform and qform."""
_SCANNER = 1
"""Form code of scanner coordinates."""
_COMPRESSION = 6
"""gzip level; level 9 takes three times as long for 1 % less."""
_QUICK = 1
"""Compression level of images, as in nibabel."""
_FIRST_VOXEL = 352
"""Where voxels begin in a NIfTI-1 file without extensions: 348 bytes of header and 4 of flags."""


def read_nifti(path: Path) -> StoredImage:
    """Reads the voxels and grid of a single-file NIfTI, gzipped or not.

    The sform takes precedence over the qform, as in most readers, and is sufficient: zero spacing or a
    damaged qform beside it are ignored with a warning, as in nibabel. If the two contradict each other, a
    warning is logged. Without either, axes and origin are ITK's defaults: LPS, zero. A negative `pixdim[0]`
    flips the third axis of a qform; any other value, including zero, does not, as in the standard and ITK.

    Raises:
        FileError: damaged, truncated, or another format.
        GeometryError: not a single 3-D volume, or an invalid grid.
        InputError: a non-numeric voxel type.
    """
    header = read_nifti_header(path)
    sizes = _sizes(path, header)
    width, height, depth = require_volume(path, sizes)
    dtype = _dtype(path, header)
    content = whole_file(path, header, prod((width, height, depth)) * dtype.itemsize)
    start, count = _data_offset(path, header), prod((width, height, depth))
    array = np.frombuffer(content, dtype, count, start).reshape(depth, height, width)
    slope, intercept = _scaling(path, header)
    with naming(path):
        grid = grid_of_header(path, header, (depth, height, width))
        require_usable_grid(grid)
    return StoredImage(array=array, grid=grid, slope=slope, intercept=intercept)


def write_nifti(array: NDArray[Any], grid: Grid, path: Path, like: Path | None = None) -> None:
    """Writes an array (d, h, w) as NIfTI-1 with sform and qform of the grid, gzipped according to the suffix.

    Description, intent, display range and auxiliary file name are those of `like` if it is NIfTI.
    """
    image = _image(array, grid)
    if like is not None and is_nifti(like):
        header = read_nifti_header(like)
        for name in KEPT:
            image.header[name] = header[name]
    save_nifti(image, path)


def save_nifti(image: Any, path: Path) -> None:
    """Saves a nibabel image, gzipped according to the suffix; a full disk raises here instead of at exit.

    Output is deterministic: the gzip header holds neither time nor name.
    """
    with path.open("wb") as raw:
        if not path.name.lower().endswith(".gz"):
            image.to_stream(raw)
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_QUICK, fileobj=raw, mtime=0) as packed:
            image.to_stream(packed)


def nifti_bytes(array: NDArray[Any], grid: Grid, *, slope: float = 1.0, intercept: float = 0.0) -> bytes:
    """Gzipped NIfTI-1 file in memory of an array (d, h, w) whose values are ``slope * array + intercept``.

    Output is deterministic: the gzip header holds no time.
    """
    header = _image(array, grid).header
    header["scl_slope"], header["scl_inter"] = slope, intercept
    header["vox_offset"] = _FIRST_VOXEL
    content = bytes(header.binaryblock).ljust(_FIRST_VOXEL, b"\0") + np.ascontiguousarray(array).tobytes()
    return gzip.compress(content, _COMPRESSION, mtime=0)


def to_ras(grid: Grid) -> NDArray[np.float64]:
    """Affine from voxels (w, h, d, 1), as in nibabel, to RAS+ mm."""
    affine: NDArray[np.float64] = _LPS_FROM_RAS @ grid.affine.numpy()[:, [2, 1, 0, 3]]
    return affine


def from_ras(affine_ras: NDArray[np.float64], shape: tuple[int, int, int]) -> Grid:
    """Grid of an array (d, h, w), from the affine of its voxels (w, h, d, 1) to RAS+ mm."""
    return Grid(shape=shape, affine=torch.from_numpy((_LPS_FROM_RAS @ affine_ras)[:, [2, 1, 0, 3]]))


def _image(array: NDArray[Any], grid: Grid) -> Any:
    affine = to_ras(grid)
    image = nib.Nifti1Image(array.T, affine, dtype=array.dtype)
    image.set_sform(affine, _SCANNER)
    image.set_qform(affine, _SCANNER)
    image.header.set_xyzt_units("mm")
    return image


def whole_file(path: Path, header: Any, needed: int) -> bytes | bytearray:
    """Reads and decompresses a file, and checks that it holds as many voxel bytes as its header declares.

    Args:
        path: NIfTI file, gzipped or not.
        header: of the same file; see `read_nifti_header`.
        needed: bytes of voxels.

    Raises:
        FileError: truncated, damaged, or too long.
    """
    content, start = path.read_bytes(), _data_offset(path, header)
    with naming(path):
        if content.startswith(GZIP_MAGIC):
            return unpack(content, "gzip", start + needed)
        present = max(0, len(content) - start)
        if present < needed:
            raise FileError(f"is truncated: its voxels take {needed} bytes, but {present} are there.")
        if present > needed:
            raise FileError(f"holds more data than its header says: its voxels take {needed} bytes, {present} follow.")
    return content


def read_nifti_header(path: Path) -> Any:
    """Reads the header of a single-file NIfTI, as nibabel's header of version 1 or 2.

    Raises:
        FileError: damaged, or another format.
    """
    with path.open("rb") as stream:
        content = stream.read(_ENOUGH)
    if content.startswith(GZIP_MAGIC):
        with naming(path):
            content = unpack_start(content, "gzip", max(_HEADERS))
    sizes = {int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big")} & set(_HEADERS)
    if not sizes or len(content) < min(sizes):
        raise FileError(f"{path}: is not NIfTI, or damaged; need a file that begins with a NIfTI header.")
    size = sizes.pop()
    try:
        header = _HEADERS[size](binaryblock=content[:size], check=False)
    except (HeaderDataError, ValueError) as error:
        raise FileError(f"{path}: has a NIfTI header that cannot be understood.") from error
    if header["magic"].item()[:3] != header.single_magic[:3]:
        raise FileError(f"{path}: is half of a .hdr/.img pair, or damaged; need a single .nii or .nii.gz file.")
    return header


def is_nifti(path: Path) -> bool:
    """Whether a file has a NIfTI suffix."""
    return has_suffix(path, NIFTI_SUFFIXES)


def require_whole(path: Path) -> None:
    """Checks that a NIfTI file of any dimension is undamaged and holds as many voxels as its header declares.

    Raises:
        FileError: truncated, damaged, or too long.
    """
    header = read_nifti_header(path)
    count = _axis_count(path, header)
    sizes = [int(n) for n in header["dim"][1 : count + 1]]
    if min(sizes) < 1:
        raise FileError(f"{path}: has {' x '.join(map(str, sizes))} voxels; need at least one along each axis.")
    whole_file(path, header, prod(sizes) * int(header["bitpix"]) // 8)


def _sizes(path: Path, header: Any) -> tuple[int, ...]:
    count = _axis_count(path, header)
    sizes = tuple(int(n) for n in header["dim"][1 : count + 1])
    if int(header["intent_code"]) in _VECTOR_INTENTS and count == 5:
        raise GeometryError(f"{path}: holds {sizes[-1]} numbers per voxel (a vector field); need one.")
    return sizes


def _axis_count(path: Path, header: Any) -> int:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise FileError(f"{path}: has a damaged header: it gives {count} dimensions; need 3.")
    return count


def _dtype(path: Path, header: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        code = int(header["datatype"])
        raise InputError(f"{path}: gives its voxels the unknown type {code}; need whole or real numbers.") from error
    require_number_type(path, dtype.newbyteorder("=").name)
    return dtype


def _data_offset(path: Path, header: Any) -> int:
    offset = float(header["vox_offset"])
    if not isfinite(offset):
        raise FileError(f"{path}: has a damaged header: its voxels begin nowhere.")
    # Voxels follow the header and four bytes of extension flags at the earliest; some writers store 0.
    return max(int(offset), int(header["sizeof_hdr"]) + 4)


def _scaling(path: Path, header: Any) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise FileError(f"{path}: has a damaged header: its intensity scaling is not a number.") from error
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept or 0.0))


def grid_of_header(path: Path, header: Any, shape: tuple[int, int, int]) -> Grid:
    """Grid (d, h, w) of a header; see `read_nifti`."""
    by_form = {name: _form(path, header, name) for name in ("sform", "qform")}
    grids = {name: _to_grid(header, affine, shape) for name, affine in by_form.items() if affine is not None}
    if not grids:
        _LOG.warning("%s: has neither sform nor qform; assuming LPS axes and origin zero", path)
        return _to_grid(header, _LPS_FROM_RAS @ np.diag([*_pixdim(header), 1.0]), shape)
    if len(grids) == 2:
        offset = float((corners_mm(grids["sform"]) - corners_mm(grids["qform"])).norm(dim=1).max())
        if offset > _FORM_TOLERANCE_MM:
            _LOG.warning("%s: its sform and qform differ by up to %.1f mm; using the sform", path, offset)
    return next(iter(grids.values()))


def _form(path: Path, header: Any, name: str) -> NDArray[np.float64] | None:
    if int(header[f"{name}_code"]) <= 0:
        return None
    if name == "sform":
        return np.asarray(header.get_sform(), dtype=np.float64)
    try:
        return _qform(header)
    except GeometryError as error:
        if int(header["sform_code"]) <= 0:
            raise
        _LOG.warning("%s: %s Using the sform", path, error)
        return None


def _qform(header: Any) -> NDArray[np.float64]:
    _pixdim(header)
    handed = header.copy()
    handed["pixdim"][0] = -1.0 if float(header["pixdim"][0]) < 0.0 else 1.0
    try:
        affine = np.asarray(handed.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise GeometryError("has a damaged qform; need a quaternion of unit length.") from error
    if not np.isfinite(affine).all():
        raise GeometryError("has a damaged qform; need finite numbers.")
    return affine


def _pixdim(header: Any) -> tuple[float, float, float]:
    x, y, z = (float(step) for step in header["pixdim"][1:4])
    if not all(isfinite(step) and step > 0.0 for step in (x, y, z)):
        raise GeometryError(f"has a spacing of ({x:g}, {y:g}, {z:g}) mm along (x, y, z); need positive numbers.")
    return x, y, z


def _to_grid(header: Any, affine_ras: NDArray[np.float64], shape: tuple[int, int, int]) -> Grid:
    in_mm = np.diag([mm_per_unit(header)] * 3 + [1.0])
    return from_ras(in_mm @ affine_ras, shape)


def mm_per_unit(header: Any) -> float:
    """Millimetres per spatial unit of a header."""
    return _MM_PER_UNIT.get(int(header["xyzt_units"]) & _SPACE_UNITS, 1.0)


NIFTI = ImageFormat(
    name="NIfTI", suffixes=NIFTI_SUFFIXES, written=(".nii.gz", ".nii"), read=read_nifti, write=write_nifti
)
