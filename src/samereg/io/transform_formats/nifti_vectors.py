"""NIfTI vector images of any tool: vectors, grid and intent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from jaxtyping import Float
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from torch import Tensor

from samereg.errors import FileError, TransformError
from samereg.geometry.grid import Grid
from samereg.io.atomic import atomic_file
from samereg.io.nifti import grid_of_header, is_nifti, read_nifti_header, require_whole, save_nifti, to_ras

INTENT_DISPLACEMENT, INTENT_VECTOR = 1006, 1007


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VectorFile:
    """Vectors of a NIfTI file; their frame and meaning depend on the tool.

    Attributes:
        data: components first, in the order of the file.
        grid: where they stand.
        sizes: of the file, (x, y, z, ...).
        intent: intent code.
        intent_name: intent name.
        parameter: first intent parameter.
    """

    data: Float[Tensor, "3 d h w"]
    grid: Grid
    sizes: tuple[int, ...]
    intent: int
    intent_name: str
    parameter: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorHeader:
    """Header of a NIfTI vector image.

    Attributes:
        sizes: of the file, (x, y, z, ...).
        intent: intent code.
        words: intent name.
    """

    sizes: tuple[int, ...]
    intent: int
    words: str

    @property
    def is_field(self) -> bool:
        """Whether it has a vector per voxel along a fifth axis, as in the standard."""
        return len(self.sizes) == 5 and self.sizes[3:] == (1, 3)

    @property
    def is_4d(self) -> bool:
        """Whether it has a vector per voxel along a fourth axis, as several tools write against the standard."""
        return len(self.sizes) == 4 and self.sizes[3] == 3


def vector_header(path: Path) -> VectorHeader | None:
    """Reads the header of a vector image; None if the suffix is not NIfTI.

    Raises:
        FileError: a damaged header.
    """
    if not is_nifti(path):
        return None
    header = read_nifti_header(path)
    return VectorHeader(
        sizes=tuple(int(n) for n in header.get_data_shape()),
        intent=int(header["intent_code"]),
        words=header["intent_name"].item().decode("ascii", "replace").strip("\0 "),
    )


def read_vectors(path: Path) -> VectorFile:
    """Reads the vectors of a 5-D (x, y, z, 1, 3) or 4-D (x, y, z, 3) file.

    Raises:
        FileError: missing, damaged or truncated.
        TransformError: other sizes, or numbers that are not finite.
    """
    header = _header(path)
    sizes = tuple(int(n) for n in header.get_data_shape())
    if sizes[3:] not in ((1, 3), (3,)):
        shown = " x ".join(map(str, sizes))
        raise TransformError(f"{path}: has {shown} numbers; need (x, y, z, 1, 3) or (x, y, z, 3), vectors on a grid.")
    require_whole(path)
    try:
        image: Any = nib.load(path)
        array = np.asarray(image.dataobj, dtype=np.float32).reshape(*sizes[:3], 3)
    except (ImageFileError, HeaderDataError, TypeError, ValueError) as error:
        raise FileError(f"{path}: has a damaged header: its numbers are of no known type or scaling.") from error
    if not np.isfinite(array).all():
        raise TransformError(f"{path}: holds displacements that are NaN or infinite; need finite numbers.")
    return VectorFile(
        data=torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 1, 0))),
        grid=grid_of_header(path, header, (sizes[2], sizes[1], sizes[0])),
        sizes=sizes,
        intent=int(header["intent_code"]),
        intent_name=header["intent_name"].item().decode("ascii", "replace").strip("\0 "),
        parameter=float(header["intent_p1"]),
    )


def write_vectors(
    data: Float[Tensor, "3 d h w"], grid: Grid, path: Path, *, five_dimensional: bool, intent: tuple[int, str, float]
) -> None:
    """Writes vectors on a grid, in single precision.

    Args:
        data: components first, as stored in the file.
        grid: where they stand.
        path: output file.
        five_dimensional: (x, y, z, 1, 3), else (x, y, z, 3).
        intent: code, name and first parameter.
    """
    array: NDArray[Any] = data.detach().cpu().float().permute(3, 2, 1, 0).contiguous().numpy()
    affine = to_ras(grid)
    image = nib.Nifti1Image(array[:, :, :, None] if five_dimensional else array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    code, words, parameter = intent
    image.header["intent_code"], image.header["intent_name"], image.header["intent_p1"] = code, words, parameter
    with atomic_file(path) as temporary:
        save_nifti(image, temporary)


def _header(path: Path) -> Any:
    if not path.is_file() or path.stat().st_size == 0:
        raise FileError(f"{path}: is missing or empty; need a transform file.")
    return read_nifti_header(path)
