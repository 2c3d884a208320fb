"""Transform files read by h5py, scipy, nibabel and by hand: the readers that samereg's are held against."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray

from benchmarks.faults.format import Unreadable, Value
from benchmarks.faults.image_files import loaded, nifti_affine
from benchmarks.faults.text_headers import affine_of, metaimage_by_hand, nrrd_by_hand
from samereg.geometry.grid import Grid
from samereg.io.transform_formats.spaces import Spaces

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ANGLE = 0.3


def grid(*, shape: tuple[int, int, int] = (4, 5, 6)) -> Grid:
    """An oblique grid."""
    c, s = float(np.cos(_ANGLE)), float(np.sin(_ANGLE))
    affine = affine_of([c, s, 0.0, -s, c, 0.0, 0.0, 0.0, 1.0], [2.0, 2.5, 3.0], [-8.0, 4.0, 10.0])
    return Grid(shape=shape, affine=torch.from_numpy(affine))


SPACES = Spaces(fixed=grid(), moving=grid(shape=(5, 5, 5)))


def affine_value(linear: Any, offset: Any) -> Value:
    """The value of one affine map."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.reshape(linear, (3, 3)), offset
    return _finite({"0 affine": matrix})


def _finite(value: Value) -> Value:
    if not all(np.isfinite(array).all() for array in value.values()):
        raise Unreadable("not finite")
    return value


def _numbered(values: list[Value]) -> Value:
    return {f"{number} {key[2:]}": array for number, value in enumerate(values) for key, array in value.items()}


def _itk_part(kind: str, parameters: NDArray[np.float64], fixed: NDArray[np.float64]) -> Value:
    """One part of an ITK file, by ITK's definitions."""
    name = kind.split("_", maxsplit=1)[0]
    if name in ("AffineTransform", "MatrixOffsetTransformBase"):
        if parameters.shape != (12,) or fixed.shape != (3,):
            raise Unreadable("an affine map has twelve numbers and a centre")
        linear = parameters[:9].reshape(3, 3)
        return affine_value(linear, parameters[9:] + fixed - linear @ fixed)
    sizes = [int(n) for n in fixed[:3]]
    if (
        not np.array_equal(sizes, fixed[:3])
        or min(sizes) < 1
        or fixed.shape != (18,)
        or len(parameters) != 3 * prod(sizes)
    ):
        raise Unreadable("numbers that do not fit")
    place = affine_of(fixed[9:].reshape(3, 3).T.ravel().tolist(), fixed[6:9].tolist(), fixed[3:6].tolist())
    if name == "DisplacementFieldTransform":
        vectors = np.moveaxis(parameters.reshape(*sizes[::-1], 3), -1, 0)
        return _finite({"0 field": vectors, "0 grid": place})
    if name == "BSplineTransform":
        return _finite({"0 spline": parameters.reshape(3, *sizes[::-1]), "0 grid": place})
    raise Unreadable(kind)


def itk_by_h5py(folder: Path) -> Value:
    """An HDF5 transform; a composite applies its last part first."""
    found: list[Value] = []
    with h5py.File(folder / "transform.h5") as file:
        group = file["TransformGroup"]
        names = sorted(group, key=int)
        kinds = [_text(group[name]["TransformType"]) for name in names]
        for name, kind in zip(names, kinds, strict=True):
            if kind.startswith("CompositeTransform"):
                continue
            entry = group[name]
            fixed = "TransformFixedParameters" if "TransformFixedParameters" in entry else "TranformFixedParameters"
            moving = "TransformParameters" if "TransformParameters" in entry else "TranformParameters"
            found.append(_itk_part(kind, entry[moving][...].astype(np.float64), entry[fixed][...].astype(np.float64)))
    return _numbered(found[::-1])


def _text(dataset: Any) -> str:
    word = dataset[()]
    word = word if isinstance(word, bytes) else word[0]
    return str(word.decode("ascii"))


def itk_by_text(folder: Path, name: str) -> Value:
    """A text transform: `Transform:`, `Parameters:` and `FixedParameters:`, three lines for each part."""
    lines = [line.strip() for line in (folder / name).read_text("latin-1").splitlines()]
    found: list[Value] = []
    kind, numbers = "", np.zeros(0)
    for line in lines:
        key, _, rest = line.partition(":")
        if key == "Transform":
            kind = rest.strip()
        elif key == "Parameters":
            numbers = np.array(rest.split(), dtype=np.float64)
        elif key == "FixedParameters" and not kind.startswith("CompositeTransform"):
            found.append(_itk_part(kind, numbers, np.array(rest.split(), dtype=np.float64)))
        elif line and not line.startswith("#") and key != "FixedParameters":
            raise Unreadable(line)
    return _numbered(found[::-1])


def itk_by_scipy(folder: Path, name: str) -> Value:
    """A Matlab file of one affine map."""
    entries = {key: value for key, value in scipy.io.loadmat(folder / name).items() if not key.startswith("__")}
    kinds = [key for key in entries if key != "fixed"]
    if len(kinds) != 1:
        raise Unreadable("not one map")
    return _itk_part(
        kinds[0], entries[kinds[0]].ravel().astype(np.float64), entries["fixed"].ravel().astype(np.float64)
    )


def field_by_nibabel(folder: Path, name: str) -> Value:
    """A field of LPS vectors as NIfTI."""
    image, header = loaded(folder / name)
    if image.shape[3:] != (1, 3) or int(header["intent_code"]) == 1006:
        raise Unreadable("no field of LPS vectors")
    vectors = np.asanyarray(image.dataobj).astype(np.float64)[:, :, :, 0].transpose(3, 2, 1, 0)
    return _finite({"0 field": vectors, "0 grid": nifti_affine(header)})


def field_by_hand(folder: Path, name: str) -> Value:
    """A field as MetaImage or NRRD."""
    value = (nrrd_by_hand if name.endswith(".nrrd") else metaimage_by_hand)(folder, name)
    if value["voxels"].ndim != 4 or len(value["voxels"]) != 3:
        raise Unreadable("no vectors")
    return _finite({"0 field": value["voxels"], "0 grid": value["affine"]})


def ants_by_others(folder: Path) -> Value:
    """Both files of a prefix, or the one that is there."""
    found = []
    if (folder / "case1Warp.nii.gz").exists():
        found.append(field_by_nibabel(folder, "case1Warp.nii.gz"))
    if (folder / "case0GenericAffine.mat").exists():
        found.append(itk_by_scipy(folder, "case0GenericAffine.mat"))
    return _numbered(found)


def ras_vectors(folder: Path, name: str) -> Value:
    """A field of RAS vectors as NIfTI, turned to LPS."""
    image, header = loaded(folder / name)
    if image.shape[3:] not in ((1, 3), (3,)):
        raise Unreadable("no vectors")
    vectors = np.asarray(image.dataobj, dtype=np.float64).reshape(*image.shape[:3], 3).transpose(3, 2, 1, 0)
    signs = np.array([-1.0, -1.0, 1.0])[:, None, None, None]
    return _finite({"0 field": vectors * signs, "0 grid": nifti_affine(header)})


def niftyreg_by_nibabel(folder: Path, name: str) -> Value:
    """A field of positions, or of displacements where its header says so."""
    _, header = loaded(folder / name)
    value = ras_vectors(folder, name)
    words = header["intent_name"].item().decode("ascii", "replace").strip("\0 ")
    kind = int(header["intent_p1"]) if words == "NREG_TRANS" else 0
    if kind not in (0, 1):
        raise Unreadable("splines or velocities")
    index = np.stack(np.meshgrid(*(np.arange(n) for n in value["0 field"].shape[1:]), indexing="ij"), axis=0)
    centres = np.tensordot(value["0 grid"][:3, :3], index, 1) + value["0 grid"][:3, 3, None, None, None]
    return {**value, "0 field": value["0 field"] - centres if kind == 0 else value["0 field"]}


def _sixteen(folder: Path, name: str) -> NDArray[np.float64]:
    matrix = np.array((folder / name).read_text("utf-8").split(), dtype=np.float64).reshape(4, 4)
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise Unreadable("no affine map")
    return matrix


def greedy_by_numpy(folder: Path, name: str) -> Value:
    """A matrix in RAS mm."""
    matrix = _RAS @ _sixteen(folder, name) @ _RAS
    return affine_value(matrix[:3, :3], matrix[:3, 3])


def _flirt_frame(place: Grid) -> NDArray[np.float64]:
    """LPS to FLIRT's millimetres: along the voxel axes, x reversed where the RAS determinant is positive."""
    spacing = np.diag([*place.spacing_mm[::-1], 1.0])
    voxels = place.affine.numpy()[:, [2, 1, 0, 3]]
    if np.linalg.det((_RAS @ voxels)[:3, :3]) > 0:
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        flip[0, 3] = (place.shape[2] - 1) * place.spacing_mm[2]
        spacing = flip @ spacing
    return spacing @ np.linalg.inv(voxels)


def fsl_by_numpy(folder: Path, name: str) -> Value:
    """A matrix of FLIRT, from moving to fixed."""
    assert SPACES.fixed is not None
    assert SPACES.moving is not None
    back = np.linalg.inv(_sixteen(folder, name))
    matrix = np.linalg.inv(_flirt_frame(SPACES.moving)) @ back @ _flirt_frame(SPACES.fixed)
    return affine_value(matrix[:3, :3], matrix[:3, 3])


def _learn2reg_value(vectors: NDArray[np.float64], shape: tuple[int, ...]) -> Value:
    """Vectors (3, i, j, k) in voxels, on the fixed grid or on every second voxel of it."""
    assert SPACES.fixed is not None
    assert SPACES.moving is not None
    fixed, moving = SPACES.fixed.affine.numpy(), SPACES.moving.affine.numpy()
    data = np.tensordot(fixed[:3, :3], vectors[::-1].transpose(0, 3, 2, 1), 1)
    place = fixed.copy()
    for axis, (whole, count) in enumerate(zip(SPACES.fixed.shape, shape[::-1], strict=True)):
        place[:3, axis] *= (whole - 1) / (count - 1)
    rest = moving @ np.linalg.inv(fixed)
    value = {"0 field": data, "0 grid": place}
    return _finite(
        value
        if np.allclose(rest, np.eye(4)) and SPACES.fixed.shape == SPACES.moving.shape
        else {**value, "1 affine": rest}
    )


def learn2reg_by_nibabel(folder: Path, name: str) -> Value:
    """A field in voxels as NIfTI."""
    image, _ = loaded(folder / name)
    if image.shape[3:] not in ((3,), (1, 3)):
        raise Unreadable("no vectors")
    vectors = np.asarray(image.dataobj, dtype=np.float64).reshape(*image.shape[:3], 3).transpose(3, 0, 1, 2)
    return _learn2reg_value(vectors, image.shape[:3])


def learn2reg_by_numpy(folder: Path, name: str) -> Value:
    """A field in voxels as the only array of a zip file."""
    with np.load(folder / name, allow_pickle=False) as stored:
        (key,) = stored.files
        vectors = stored[key].astype(np.float64)
    return _learn2reg_value(vectors, vectors.shape[1:])


def elastix_by_text(folder: Path) -> Value:
    """An elastix parameter file: an entry in parentheses on each line; other lines are comments."""
    entries: dict[str, list[str]] = {}
    for line in (folder / "TransformParameters.txt").read_text("utf-8").splitlines():
        body = line.split("//")[0].strip()
        if body.startswith("(") and body.endswith(")"):
            name, *words = body[1:-1].split()
            entries[name] = [word.strip('"') for word in words]
    kind = entries["Transform"][0]
    if entries.get("InitialTransformParameterFileName", ["NoInitialTransform"]) != ["NoInitialTransform"]:
        raise Unreadable("names another file")
    if kind == "DeformationFieldTransform":
        return field_by_hand(folder, Path(entries["DeformationFieldFileName"][0]).name)
    numbers = np.array(entries["TransformParameters"], dtype=np.float64)
    if kind == "BSplineTransform":
        return _elastix_spline(entries, numbers)
    if kind != "AffineTransform" or len(numbers) != 12:
        raise Unreadable(kind)
    centre, linear = np.array(entries["CenterOfRotationPoint"], dtype=np.float64), numbers[:9].reshape(3, 3)
    return affine_value(linear, numbers[9:] + centre - linear @ centre)


def _elastix_spline(entries: Mapping[str, list[str]], numbers: NDArray[np.float64]) -> Value:
    sizes = [int(word) for word in entries["GridSize"]]
    if (
        entries.get("BSplineTransformSplineOrder", ["3"])[0] != "3"
        or entries.get("UseCyclicTransform", ["false"])[0] == "true"
    ):
        raise Unreadable("not cubic")
    defaults = {"GridDirection": ["1", "0", "0", "0", "1", "0", "0", "0", "1"], "GridIndex": ["0", "0", "0"]}
    columns, spacing, origin, index = (
        [float(word) for word in {**defaults, **entries}[name]]
        for name in ("GridDirection", "GridSpacing", "GridOrigin", "GridIndex")
    )
    place = affine_of(columns, spacing, origin)
    place[:3, 3] = (place @ [*index[::-1], 1.0])[:3]
    return _finite({"0 spline": numbers.reshape(3, *sizes[::-1]), "0 grid": place})
