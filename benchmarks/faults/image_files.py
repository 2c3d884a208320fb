"""Images in voxels as damaged bases: NIfTI, NRRD, MetaImage; each with a reader that shares no code with samereg's."""

import gzip
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks.faults.format import Format, Unreadable, Value
from benchmarks.faults.mutations import Field
from benchmarks.faults.splices import GZIP, RAW, Files
from benchmarks.faults.text_headers import affine_of, metaimage_by_hand, nrrd_by_hand
from samereg.io.channels import read_channels
from samereg.io.images import read_labels, read_volume

SHAPE = (5, 6, 7)
"""(d, h, w) of every base image."""
SPACING = (1.5, 2.0, 2.5)
ORIGIN = (-12.0, 30.0, 5.5)
_ANGLE = 0.4
DIRECTION = (np.cos(_ANGLE), -np.sin(_ANGLE), 0.0, np.sin(_ANGLE), np.cos(_ANGLE), 0.0, 0.0, 0.0, 1.0)

_NIFTI_FIELDS: dict[int, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    0: (("<i", (0, 348, 540, -1, 2**31 - 1)),),
    **{40 + 2 * n: (("<h", (0, 1, -1, 2, 3, 5, 8, 300, 32767, -32768)),) for n in range(8)},
    68: (("<h", (0, 1006, 1007, 1001, -1)),),
    70: (("<h", (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 1792, 2304, 9999)),),
    72: (("<h", (0, 8, 32, 64, -16)),),
    **{76 + 4 * n: (("<f", (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 2.0)),) for n in range(5)},
    108: (("<f", (0.0, -1.0, 348.0, 352.0, 353.0, 400.0, 1e9, 3e38, float("nan"), float("inf"))),),
    112: (("<f", (0.0, 1.0, 2.0, -1.0, 1e30, 3e38, float("nan"), float("inf"))),),
    116: (("<f", (0.0, -1024.0, 1e30, float("nan"), float("inf"))),),
    123: (("<B", (0, 1, 2, 3, 7, 8, 255)),),
    252: (("<h", (0, 1, 2, -1, 300)),),
    254: (("<h", (0, 1, 2, -1, 300)),),
    **{256 + 4 * n: (("<f", (0.0, 0.9, 2.0, 1e30, float("nan"))),) for n in range(6)},
    **{280 + 4 * n: (("<f", (0.0, -1.0, 1e30, 1e7, float("nan"), float("inf"))),) for n in range(12)},
    344: (("<4s", (b"n+1\0", b"ni1\0", b"n+2\0", b"\0\0\0\0", b"N+1\0")),),
}
"""Offset in a NIfTI-1 header: how it is packed, and what could stand there."""


def numbers() -> NDArray[np.int16]:
    """Voxels of every base image."""
    return np.random.default_rng(5).integers(-1000, 1500, SHAPE).astype(np.int16)


def itk_image(array: NDArray[Any], *, vectors: bool = False) -> sitk.Image:
    """An oblique, anisotropic image of an array."""
    image = sitk.GetImageFromArray(array, isVector=vectors)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(DIRECTION)
    return image


def saved(name: str, *, compressed: bool = False) -> Callable[[Path], None]:
    """A maker of an image file by ITK, of the format that its name says."""

    def make(folder: Path) -> None:
        sitk.WriteImage(itk_image(numbers()), str(folder / name), useCompression=compressed)

    return make


def read_image(folder: Path, name: str) -> Value:
    """Voxels and affine of an image, by samereg."""
    volume = read_volume(folder / name)
    return {"voxels": volume.data[0].numpy(), "affine": volume.grid.affine.numpy()}


def read_label_image(folder: Path, name: str) -> Value:
    """Labels and affine of a label map, by samereg."""
    labels = read_labels(folder / name)
    return {"voxels": labels.data.numpy(), "affine": labels.grid.affine.numpy()}


def read_channel_image(folder: Path, name: str) -> Value:
    """Channels and affine of an image of several numbers per voxel, by samereg."""
    image = read_channels(folder / name)
    return {"voxels": image.array.astype(np.float64), "affine": image.grid.affine.numpy()}


def nifti_fields(name: str) -> Callable[[Files], tuple[Field, ...]]:
    """Fields of a NIfTI-1 header."""
    view = GZIP if name.endswith(".gz") else RAW

    def fields(_files: Files) -> tuple[Field, ...]:
        return tuple(
            Field(
                file=name,
                view=view,
                at=at,
                size=struct.calcsize(code),
                choices=tuple(struct.pack(code, v) for v in values),
            )
            for at, kinds in _NIFTI_FIELDS.items()
            for code, values in kinds
        )

    return fields


def nifti_affine(header: Any) -> NDArray[np.float64]:
    """LPS affine of (d, h, w, 1): the sform, else the qform, else what ITK assumes; in mm."""
    if int(header["sform_code"]) > 0:
        ras = np.asarray(header.get_sform(), dtype=np.float64)
    elif int(header["qform_code"]) > 0:
        ras = np.asarray(header.get_qform(), dtype=np.float64)
    else:
        ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*(float(v) for v in header["pixdim"][1:4]), 1.0])
    factor = {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)
    lps: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([factor, factor, factor, 1.0]) @ ras
    return lps[:, [2, 1, 0, 3]]


def nifti_by_nibabel(folder: Path, name: str) -> Value:
    """The same by nibabel."""
    image, header = loaded(folder / name)
    sizes = image.shape
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    voxels = np.asanyarray(image.dataobj).astype(np.float32).reshape(sizes)
    if voxels.ndim != 3 or not np.isfinite(voxels).all():
        raise Unreadable("not a finite volume")
    return {"voxels": voxels.T, "affine": nifti_affine(header)}


def loaded(path: Path) -> tuple[Any, Any]:
    """Image and raw header of a file; voxels follow the header where it says that they begin inside it.

    Some writers leave 0 there. nibabel refuses that, and takes form codes that it does not know for none.
    """
    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    form: Any = nib.Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    header = form.header_class(binaryblock=content[: form.header_class.sizeof_hdr], check=False)
    if header["vox_offset"] < header.single_vox_offset:
        header["vox_offset"] = header.single_vox_offset
        content = header.binaryblock + content[header.sizeof_hdr :]
    return form.from_bytes(content), header


def channels_by_nibabel(folder: Path, name: str) -> Value:
    """A series of volumes by nibabel; its affine as ITK has it, from the form that it prefers."""
    image, header = loaded(folder / name)
    return {"voxels": np.asanyarray(image.dataobj).astype(np.float64).T, "affine": nifti_affine(header)}


def _nifti_of(folder: Path, name: str, *, form: type = nib.Nifti1Image) -> None:
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ _lps_affine()
    image = form(numbers().T, ras)
    image.set_sform(ras, 1)
    image.set_qform(ras, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / name)
    if name.endswith(".gz"):
        content = gzip.decompress((folder / name).read_bytes())
        (folder / name).write_bytes(gzip.compress(content, mtime=0))


def _lps_affine() -> NDArray[np.float64]:
    return affine_of(np.reshape(DIRECTION, (3, 3)).T.ravel().tolist(), list(SPACING), list(ORIGIN))[:, [2, 1, 0, 3]]


def make_series(folder: Path, name: str) -> None:
    """A NIfTI of two volumes."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ _lps_affine()
    image = nib.Nifti1Image(np.stack([numbers().T, numbers().T + 1], axis=-1), ras)
    image.set_sform(ras, 1)
    image.set_qform(ras, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / name)


def make_vectors(folder: Path, name: str) -> None:
    """An image of three single-precision numbers per voxel."""
    vectors = np.random.default_rng(6).normal(0.0, 3.0, (*SHAPE, 3)).astype(np.float32)
    sitk.WriteImage(itk_image(vectors, vectors=True), str(folder / name))


_BY_NIBABEL = (
    "what nibabel reads, with the affine of the form that the header prefers; no difference inside checked gzip"
)
_BY_HEADER = "what the header says, read by hand: unknown entries are free text; plain voxels may differ where bytes do"


def _payload_from(name: str, start: int) -> Callable[[Files], Mapping[str, tuple[int, int]]]:
    return lambda files: {name: (start, len(files[name]))}


def _payload_at_end(name: str) -> Callable[[Files], Mapping[str, tuple[int, int]]]:
    size = numbers().nbytes
    return lambda files: {name: (len(files[name]) - size, len(files[name]))}


def _image(name: str, file: str, **further: Any) -> Format:
    return Format(name=name, read=lambda folder: read_image(folder, file), **further)


def _nifti(name: str, file: str, **further: Any) -> Format:
    return _image(
        name,
        file,
        make=further.pop("make", lambda folder: _nifti_of(folder, file)),
        reference=lambda folder: nifti_by_nibabel(folder, file),
        legitimate=_BY_NIBABEL,
        **further,
    )


def _by_hand(name: str, file: str, *, compressed: bool = False, payload: str = "") -> Format:
    by_hand = nrrd_by_hand if file.endswith((".nrrd", ".nhdr")) else metaimage_by_hand
    plain: dict[str, Any] = {} if compressed else {"payload": _payload_at_end(payload or file)}
    return _image(
        name,
        file,
        make=saved(file, compressed=compressed),
        reference=lambda folder: by_hand(folder, file),
        legitimate=_BY_HEADER
        if not compressed
        else "what the header says, read by hand; no difference inside compressed voxels",
        **plain,
    )


IMAGE_FORMATS: tuple[Format, ...] = (
    _nifti("nifti", "scan.nii", fields=nifti_fields("scan.nii"), payload=_payload_from("scan.nii", 352)),
    _nifti("nifti gzipped", "scan.nii.gz", fields=nifti_fields("scan.nii.gz")),
    _nifti("nifti-2", "scan.nii", make=lambda folder: _nifti_of(folder, "scan.nii", form=nib.Nifti2Image)),
    Format(
        name="nifti labels",
        make=lambda folder: _nifti_of(folder, "labels.nii"),
        read=lambda folder: read_label_image(folder, "labels.nii"),
        reference=lambda folder: nifti_by_nibabel(folder, "labels.nii"),
        legitimate=_BY_NIBABEL,
        fields=nifti_fields("labels.nii"),
    ),
    Format(
        name="nifti series",
        make=lambda folder: make_series(folder, "series.nii"),
        read=lambda folder: read_channel_image(folder, "series.nii"),
        reference=lambda folder: channels_by_nibabel(folder, "series.nii"),
        legitimate=_BY_NIBABEL,
        fields=nifti_fields("series.nii"),
    ),
    _by_hand("nrrd", "scan.nrrd"),
    _by_hand("nrrd gzipped", "scan.nrrd", compressed=True),
    _by_hand("nhdr and raw", "scan.nhdr", payload="scan.raw"),
    _by_hand("metaimage", "scan.mha"),
    _by_hand("metaimage compressed", "scan.mha", compressed=True),
    _by_hand("mhd and raw", "scan.mhd", payload="scan.raw"),
    _by_hand("mhd and zraw", "scan.mhd", compressed=True),
    Format(
        name="nrrd vectors",
        make=lambda folder: make_vectors(folder, "vectors.nrrd"),
        read=lambda folder: read_channel_image(folder, "vectors.nrrd"),
        reference=lambda folder: nrrd_by_hand(folder, "vectors.nrrd"),
        legitimate=_BY_HEADER,
    ),
)
