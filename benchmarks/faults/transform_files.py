"""Transform files of every tool as damaged bases, with readers of h5py, scipy, nibabel and plain text."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks.faults.format import Format, Value
from benchmarks.faults.image_files import nifti_fields
from benchmarks.faults.mutations import Field
from benchmarks.faults.splices import Files
from benchmarks.faults.transform_readers import (
    SPACES,
    ants_by_others,
    elastix_by_text,
    field_by_hand,
    field_by_nibabel,
    fsl_by_numpy,
    greedy_by_numpy,
    grid,
    itk_by_h5py,
    itk_by_scipy,
    itk_by_text,
    learn2reg_by_nibabel,
    learn2reg_by_numpy,
    niftyreg_by_nibabel,
    ras_vectors,
)
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.spline import Spline
from samereg.geometry.transform import Transform
from samereg.io.format_names import TransformFormatName
from samereg.io.transform_files import read_transform_file, write_transform_file
from samereg.io.transform_formats.spaces import Spaces

DOUBLES = tuple(np.float64(v).tobytes() for v in (0.0, -1.0, 1e-300, 1e300, np.nan, np.inf, 2.0, 1e7, 65536.0, 3.5))


def affine() -> Affine:
    """A map that turns, stretches and shifts."""
    linear = torch.tensor([[1.1, 0.1, 0.0], [-0.05, 0.95, 0.02], [0.0, 0.03, 1.02]], dtype=torch.float64)
    return Affine.from_parts(linear, torch.tensor([3.0, -4.0, 5.5], dtype=torch.float64))


def field() -> Displacement:
    """Small displacements on the grid."""
    numbers = np.random.default_rng(8).normal(0.0, 1.5, (3, *grid().shape)).astype(np.float32)
    return Displacement(grid=grid(), data=torch.from_numpy(numbers))


def spline() -> Spline:
    """Coefficients on the grid."""
    return Spline(grid=grid(), data=torch.from_numpy(np.random.default_rng(9).normal(0.0, 1.0, (3, *grid().shape))))


def value_of(transform: Transform) -> Value:
    """The parts of a transform as arrays, affine maps that follow each other and identities left as they are."""
    value: dict[str, Any] = {}
    for number, part in enumerate(parts(transform)):
        if isinstance(part, Affine):
            value[f"{number} affine"] = part.matrix.numpy()
        elif isinstance(part, Displacement | Spline):
            kind = "field" if isinstance(part, Displacement) else "spline"
            value[f"{number} {kind}"] = part.data.numpy().astype(np.float64)
            value[f"{number} grid"] = part.grid.affine.numpy()
    return value


def _h5_fields(files: Files) -> tuple[Field, ...]:
    """Numbers of an HDF5 transform, where they are stored plain."""
    found = []
    with h5py.File(io.BytesIO(files["transform.h5"])) as file:
        group = file["TransformGroup"]
        for entry in group.values():
            for dataset in entry.values():
                offset = dataset.id.get_offset()
                if (
                    offset is None
                    and dataset.chunks is not None
                    and dataset.dtype.kind == "f"
                    and not dataset.compression
                ):
                    offset = dataset.id.get_chunk_info(0).byte_offset
                if offset is not None and dataset.dtype.kind == "f":
                    size = dataset.dtype.itemsize
                    found += [
                        Field(file="transform.h5", at=offset + size * n, size=size, choices=_floats_of(size))
                        for n in range(min(18, dataset.size))
                    ]
    return tuple(found)


def _floats_of(size: int) -> tuple[bytes, ...]:
    return DOUBLES if size == 8 else tuple(np.frombuffer(v, np.float64).astype(np.float32).tobytes() for v in DOUBLES)


def _written(transform: Callable[[], Transform], name: str, format: TransformFormatName) -> Callable[[Path], None]:
    spaces = Spaces() if format in ("itk", "ants", "elastix", "field") else SPACES

    def make(folder: Path) -> None:
        write_transform_file(transform(), folder / name, format=format, spaces=spaces)
        for path in folder.iterdir():
            _plainly(path)

    return make


def _plainly(path: Path) -> None:
    """Take out what differs from one writing to the next: times in gzip, folders in parameter files."""
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=0))
    elif path.suffix == ".txt":
        path.write_bytes(path.read_bytes().replace(f"{path.parent}/".encode(), b""))


def _read(name: str, format: TransformFormatName | None) -> Callable[[Path], Value]:
    return lambda folder: value_of(read_transform_file(folder / name, format=format, spaces=SPACES))


def _both() -> Transform:
    return chain(field(), affine())


def _format(
    name: str,
    file: str,
    format: TransformFormatName,
    transform: Callable[[], Transform],
    reference: Callable[[Path], Value],
    **further: Any,
) -> Format:
    told = format if format in ("greedy", "fsl", "learn2reg", "niftyreg", "ants") else None
    return Format(
        name=name, make=_written(transform, file, format), read=_read(file, told), reference=reference, **further
    )


_BY_H5PY = "what h5py reads of the file's numbers; they are stored without a checksum"
_BY_TEXT = "what the words of the text say"
_BY_SCIPY = "what scipy reads of the Matlab file"
_BY_NIBABEL = "what nibabel reads, with the affine of the form that the header prefers; gzip is checked"
_BY_HEADER = "what the header says, read by hand; no difference inside compressed vectors"

TRANSFORM_FORMATS: tuple[Format, ...] = (
    _format("itk h5", "transform.h5", "itk", _both, itk_by_h5py, fields=_h5_fields, legitimate=_BY_H5PY),
    _format(
        "itk tfm",
        "transform.tfm",
        "itk",
        lambda: chain(spline(), affine()),
        lambda f: itk_by_text(f, "transform.tfm"),
        legitimate=_BY_TEXT,
    ),
    _format("itk txt", "affine.txt", "itk", affine, lambda f: itk_by_text(f, "affine.txt"), legitimate=_BY_TEXT),
    _format("itk mat", "affine.mat", "itk", affine, lambda f: itk_by_scipy(f, "affine.mat"), legitimate=_BY_SCIPY),
    _format("ants pair", "case", "ants", _both, ants_by_others, legitimate=_BY_NIBABEL),
    _format("elastix affine", "TransformParameters.txt", "elastix", affine, elastix_by_text, legitimate=_BY_TEXT),
    _format("elastix spline", "TransformParameters.txt", "elastix", spline, elastix_by_text, legitimate=_BY_TEXT),
    _format("elastix field", "TransformParameters.txt", "elastix", field, elastix_by_text, legitimate=_BY_TEXT),
    _format(
        "greedy matrix",
        "greedy.mat",
        "greedy",
        affine,
        lambda f: greedy_by_numpy(f, "greedy.mat"),
        legitimate=_BY_TEXT,
    ),
    _format("fsl matrix", "flirt.mat", "fsl", affine, lambda f: fsl_by_numpy(f, "flirt.mat"), legitimate=_BY_TEXT),
    _format(
        "field nifti",
        "field.nii.gz",
        "field",
        field,
        lambda f: field_by_nibabel(f, "field.nii.gz"),
        fields=nifti_fields("field.nii.gz"),
        legitimate=_BY_NIBABEL,
    ),
    _format(
        "field metaimage", "field.mha", "field", field, lambda f: field_by_hand(f, "field.mha"), legitimate=_BY_HEADER
    ),
    _format(
        "field nrrd", "field.nrrd", "field", field, lambda f: field_by_hand(f, "field.nrrd"), legitimate=_BY_HEADER
    ),
    _format(
        "nifti 1006",
        "ras.nii",
        "nifti-1006",
        field,
        lambda f: ras_vectors(f, "ras.nii"),
        fields=nifti_fields("ras.nii"),
        legitimate=_BY_NIBABEL,
    ),
    _format(
        "niftyreg",
        "deformation.nii.gz",
        "niftyreg",
        field,
        lambda f: niftyreg_by_nibabel(f, "deformation.nii.gz"),
        fields=nifti_fields("deformation.nii.gz"),
        legitimate=_BY_NIBABEL,
    ),
    _format(
        "learn2reg nifti",
        "disp.nii.gz",
        "learn2reg",
        field,
        lambda f: learn2reg_by_nibabel(f, "disp.nii.gz"),
        fields=nifti_fields("disp.nii.gz"),
        legitimate=_BY_NIBABEL,
    ),
    _format(
        "learn2reg npz",
        "disp.npz",
        "learn2reg",
        field,
        lambda f: learn2reg_by_numpy(f, "disp.npz"),
        legitimate="what numpy reads of the only array",
    ),
)
