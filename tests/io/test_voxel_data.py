"""Voxels of text-headed images: read as ITK reads them where they are whole, refused where they are not."""

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from samereg.errors import FileError, InputError, TransformError
from samereg.geometry.displacement import Displacement
from samereg.io.channels import has_channels, read_channels
from samereg.io.images import read_grid, read_labels, read_volume
from samereg.io.transforms import read_transform

SHAPE = (8, 12, 10)
VOXELS = np.random.default_rng(0).integers(-1024, 2000, SHAPE).astype("<i2")
VECTORS = np.random.default_rng(1).normal(0.0, 5.0, (*SHAPE, 3)).astype("<f4")
PLACE = "space: left-posterior-superior\nspace directions: (2,0,0) (0,2,0) (0,0,3)\nspace origin: (1,2,3)\n"
META = "ObjectType = Image\nNDims = 3\nDimSize = 10 12 8\nElementSpacing = 2 2 3\nOffset = 1 2 3\n"

PackFunction = Callable[[bytes], bytes]
PACKERS: dict[str, PackFunction] = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "zlib": zlib.compress}
KINDS = ("mha", "mhd", "mha-raw", "mhd-raw", "mhd-list", "nrrd", "nrrd-raw", "nrrd-bzip2", "nhdr", "nhdr-raw", "nii.gz")


def nrrd_header(encoding: str, array: np.ndarray[Any, Any], more: str = "") -> str:
    place = PLACE
    if array.ndim == 4:
        place = PLACE.replace("directions: ", "directions: none ") + "kinds: vector domain domain domain\n"
    sizes = " ".join(map(str, array.shape[::-1]))
    name = "short" if array.dtype.itemsize == 2 else "float"
    return (
        f"NRRD0005\ntype: {name}\ndimension: {array.ndim}\nsizes: {sizes}\n{place}endian: little\n"
        f"encoding: {encoding}\n{more}"
    )


def meta_header(array: np.ndarray[Any, Any], more: str = "") -> str:
    channels = "ElementNumberOfChannels = 3\n" if array.ndim == 4 else ""
    name = "MET_SHORT" if array.dtype.itemsize == 2 else "MET_FLOAT"
    return f"{META}BinaryData = True\n{channels}ElementType = {name}\n{more}"


def write_meta(kind: str, array: np.ndarray[Any, Any], folder: Path) -> tuple[Path, Path]:
    is_raw = "-" in kind
    data = array.tobytes() if is_raw else zlib.compress(array.tobytes())
    packed = "" if is_raw else f"CompressedData = True\nCompressedDataSize = {len(data)}\n"
    header, path = meta_header(array, packed), folder / f"scan.{kind[:3]}"
    if kind.startswith("mha"):
        path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + data)
        return path, path
    if kind == "mhd-list":
        slices = [folder / f"slice{number}.raw" for number in range(len(array))]
        for file, numbers in zip(slices, array, strict=True):
            file.write_bytes(numbers.tobytes())
        path.write_text(f"{header}ElementDataFile = LIST\n" + "\n".join(file.name for file in slices) + "\n")
        return path, slices[4]
    (folder / "scan.data").write_bytes(data)
    path.write_text(f"{header}ElementDataFile = scan.data\n")
    return path, folder / "scan.data"


def write_nrrd(kind: str, array: np.ndarray[Any, Any], folder: Path) -> tuple[Path, Path]:
    suffix, _, encoding = kind.partition("-")
    encoding = encoding or "gzip"
    data, path = PACKERS[encoding](array.tobytes()), folder / f"scan.{suffix}"
    if suffix == "nrrd":
        path.write_bytes(nrrd_header(encoding, array).encode() + b"\n" + data)
        return path, path
    (folder / "scan.data").write_bytes(data)
    path.write_text(nrrd_header(encoding, array, "data file: scan.data\n"))
    return path, folder / "scan.data"


def write_image(kind: str, array: np.ndarray[Any, Any], folder: Path) -> tuple[Path, Path]:
    """A file, and the file that its voxels are in."""
    if kind.startswith("m"):
        return write_meta(kind, array, folder)
    if kind.startswith("n") and not kind.startswith("nii"):
        return write_nrrd(kind, array, folder)
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing((2.0, 2.0, 3.0))
    image.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(folder / f"scan.{kind}"))
    return folder / f"scan.{kind}", folder / f"scan.{kind}"


def damaged(content: bytes, *, is_raw: bool) -> Iterator[bytes]:
    """The same data cut short, made longer and, where a checksum can tell, with one byte flipped."""
    yield content[: int(0.6 * len(content))]
    yield content[:-1]
    yield content + b"x"
    yield content + content[-300:]
    if not is_raw:
        for share in (0.6, 0.9, 0.99):
            flipped = bytearray(content)
            flipped[int(share * len(content))] ^= 0xFF
            yield bytes(flipped)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_voxels_are_read(kind: str, tmp_path: Path) -> None:
    path, _ = write_image(kind, VOXELS, tmp_path)
    volume = read_volume(path)
    assert np.array_equal(volume.data[0].numpy(), VOXELS)
    assert volume.grid.spacing_mm == (3.0, 2.0, 2.0)
    assert volume.grid.origin_mm.tolist() == [1.0, 2.0, 3.0]
    assert np.array_equal(read_labels(path).data.numpy(), VOXELS)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_vectors_are_read(kind: str, tmp_path: Path) -> None:
    path, _ = write_image(kind, VECTORS, tmp_path)
    assert has_channels(path)
    assert np.array_equal(np.moveaxis(read_channels(path).array, 0, -1), VECTORS)
    field = read_transform(path)
    assert isinstance(field, Displacement)
    assert np.array_equal(field.data.movedim(0, -1).numpy(), VECTORS)


@pytest.mark.parametrize("kind", KINDS)
def test_voxels_that_do_not_fit_their_header_are_refused_by_name(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, data = write_image(kind, VOXELS, tmp_path)
    for content in damaged(data.read_bytes(), is_raw=kind.endswith(("raw", "list"))):
        data.write_bytes(content)
        for read in (read_volume, read_labels, read_grid):
            with pytest.raises(FileError, match=r"scan\.\S+: .*(truncated|damaged|more data than|other bytes follow)"):
                read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_that_do_not_fit_their_header_are_refused_by_name(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, data = write_image(kind, VECTORS, tmp_path)
    for content in damaged(data.read_bytes(), is_raw=kind.endswith(("raw", "list"))):
        data.write_bytes(content)
        for read in (read_channels, read_transform):
            with pytest.raises(FileError, match=r"scan\.\S+: .*(truncated|damaged|more data than|other bytes follow)"):
                read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("more", "data"),
    [
        ("BinaryData = False\n", " ".join(map(str, VOXELS.ravel())).encode()),
        ("BinaryData = True\nElementByteOrderMSB = True\n", VOXELS.byteswap().tobytes()),
        ("BinaryData = True\nCompressedData = True\n", zlib.compress(VOXELS.tobytes())),
        ("BinaryData = True\nCompressedData = True\n", gzip.compress(VOXELS.tobytes())),
        ("BinaryData = True\nHeaderSize = -1\n", b"before" + VOXELS.tobytes()),
        ("", VOXELS.tobytes()),
    ],
)
def test_every_way_of_writing_metaimage_is_read(more: str, data: bytes, tmp_path: Path) -> None:
    header = f"{META}ElementType = MET_SHORT\n{more}"
    (tmp_path / "scan.mha").write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + data)
    (tmp_path / "scan.mhd").write_text(f"{header}ElementDataFile = scan.img\n")
    (tmp_path / "scan.img").write_bytes(data)
    for name in ("scan.mha", "scan.mhd"):
        assert np.array_equal(read_volume(tmp_path / name).data[0].numpy(), VOXELS)


@pytest.mark.parametrize(
    ("encoding", "more", "data"),
    [
        ("hex", "", VOXELS.tobytes().hex().encode()),
        ("ascii", "", " ".join(map(str, VOXELS.ravel())).encode()),
        ("txt", "", ",\n".join(map(str, VOXELS.ravel())).encode()),
        ("gz", "byte skip: 5\n", gzip.compress(b"12345" + VOXELS.tobytes())),
        ("gz", "line skip: 1\n", b"a line\n" + gzip.compress(VOXELS.tobytes())),
        ("raw", "line skip: 2\nbyte skip: 3\n", b"one\ntwo\nxyz" + VOXELS.tobytes()),
        ("raw", "byte skip: -1\n", b"anything" + VOXELS.tobytes()),
        ("gzip", "", gzip.compress(VOXELS.tobytes()[:500]) + gzip.compress(VOXELS.tobytes()[500:])),
    ],
)
def test_every_way_of_writing_nrrd_is_read(encoding: str, more: str, data: bytes, tmp_path: Path) -> None:
    header = nrrd_header(encoding, VOXELS, more)
    (tmp_path / "scan.nrrd").write_bytes(header.encode() + b"\n" + data)
    (tmp_path / "scan.nhdr").write_text(header + "data file: scan.img\n")
    (tmp_path / "scan.img").write_bytes(data)
    for name in ("scan.nrrd", "scan.nhdr"):
        assert np.array_equal(read_volume(tmp_path / name).data[0].numpy(), VOXELS)


@pytest.mark.parametrize("encoding", ["hex", "ascii"])
def test_text_of_another_length_or_with_other_signs_is_refused(encoding: str, tmp_path: Path) -> None:
    text = VOXELS.tobytes().hex() if encoding == "hex" else " ".join(map(str, VOXELS.ravel()))
    path = tmp_path / "scan.nrrd"
    for wrong in (text[: len(text) // 2], text + " 7", text.replace("1", "?", 1), text.replace("1", "\u00e4", 1)):
        path.write_bytes((nrrd_header(encoding, VOXELS) + "\n" + wrong).encode("latin-1"))
        with pytest.raises(FileError, match=r"scan\.nrrd: (holds \d+|is damaged)"):
            read_volume(path)
    path.write_text(f"{META}ElementType = MET_SHORT\nBinaryData = False\nElementDataFile = LOCAL\n 1 2 3\n")
    with pytest.raises(FileError, match="holds 3 numbers as text; its header says 960"):
        read_volume(path.rename(path.with_suffix(".mha")))


@pytest.mark.parametrize("named", ["slice%02d.raw 1 8 1", "slice%02d.raw 8 1 -1", "LIST"])
def test_rows_of_files_are_read_in_the_order_that_the_header_names(named: str, tmp_path: Path) -> None:
    for number, numbers in enumerate(VOXELS, start=1):
        (tmp_path / f"slice{number:02d}.raw").write_bytes(numbers.tobytes())
    listed = "".join(f"slice{number:02d}.raw\n" for number in range(1, 9)) if named == "LIST" else ""
    (tmp_path / "scan.nhdr").write_text(nrrd_header("raw", VOXELS, f"data file: {named}\n{listed}"))
    (tmp_path / "scan.mhd").write_text(f"{meta_header(VOXELS)}ElementDataFile = {named}\n{listed}")
    expected = VOXELS[::-1] if "-1" in named else VOXELS
    for name in ("scan.nhdr", "scan.mhd"):
        assert np.array_equal(read_volume(tmp_path / name).data[0].numpy(), expected)
    (tmp_path / "slice05.raw").unlink()
    for name in ("scan.nhdr", "scan.mhd"):
        with pytest.raises(FileError, match=rf"{name}: names the data file .*slice05\.raw, which does not exist"):
            read_volume(tmp_path / name)


def test_fewer_files_than_slices_are_refused(tmp_path: Path) -> None:
    for number, numbers in enumerate(VOXELS):
        (tmp_path / f"s{number}.raw").write_bytes(numbers.tobytes())
    (tmp_path / "scan.mhd").write_text(f"{meta_header(VOXELS)}ElementDataFile = LIST\ns0.raw\ns1.raw\n")
    with pytest.raises(FileError, match=r"scan\.mhd: .*s0\.raw: is truncated"):
        read_volume(tmp_path / "scan.mhd")


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_beyond_the_file_are_refused_before_memory_is_taken(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, _ = write_image(kind, VOXELS, tmp_path)
    content = path.read_bytes()
    if kind == "nii.gz":
        content = bytearray(gzip.decompress(content))
        content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
        path.write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content.replace(b"10 12 8", b"32000 32000 32000"))
    for read in (read_volume, read_labels, read_grid, read_channels, read_transform):
        with pytest.raises((FileError, TransformError, InputError), match=r"scan\.\w+"):
            read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_a_header_cut_short_is_refused(kind: str, place: float, tmp_path: Path) -> None:
    path, _ = write_image(kind, VOXELS, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(place * len(content))])
    with pytest.raises(InputError, match=r"scan\.\w+: "):
        read_volume(path)


def test_itk_reads_the_same_of_what_it_writes(tmp_path: Path) -> None:
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"):
        for suffix in ("mha", "mhd", "nrrd", "nhdr"):
            for packed in (True, False):
                path = tmp_path / f"scan.{suffix}"
                image = sitk.GetImageFromArray(np.abs(VOXELS % 100).astype(dtype))
                sitk.WriteImage(image, str(path), packed)
                volume = read_volume(path)
                assert volume.stored_dtype == dtype
                assert torch.equal(volume.data[0], torch.from_numpy(np.abs(VOXELS % 100)).float())
