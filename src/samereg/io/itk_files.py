"""What ITK has to be helped with at files: names that are no UTF-8, full disks and short memory, which it hides."""

import gzip
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from samereg.errors import FileError, InputError, MemoryLimitError, is_out_of_memory

_MATLAB = (".mat",)
_TEXT = (".tfm", ".txt")
_HDF5 = (".h5", ".hdf5")
_BYTES_PER_NUMBER = 8
_HDF5_EXTRA = 24 * 1024
"""Bytes of an HDF5 transform file besides the numbers of its fields, with some to spare."""
_NIFTI_HEADER = 352
_BLOCK = 2**20
_LARGER = 16
"""Memory for a file of which less than this many times its size, and `_LEAST_BYTES`, can be had is short."""
_LEAST_BYTES = 64 * 2**20


@contextmanager
def itk_path(path: Path) -> Iterator[str]:
    """Text by which ITK finds a file: its path, or where that is no UTF-8 a temporary link to its folder or to itself.

    Raises:
        FileError: no such link can be made.
    """
    if _is_plain(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="samereg-") as folder:
        try:
            yield _linked(path, Path(folder))
        finally:
            for link in Path(folder).iterdir():
                link.unlink()


def save_image(image: sitk.Image, temporary: Path, *, name: Path) -> None:
    """Write an image, compressed, and make sure that all of it was written.

    Args:
        image: what to write.
        temporary: file to write; its ending says the format.
        name: what a message calls it.

    Raises:
        FileError: it cannot be written.
    """
    try:
        with itk_path(temporary) as text:
            sitk.WriteImage(image, text, useCompression=True)
    except (RuntimeError, MemoryError) as error:
        raise _unwritten(name, error) from error
    size = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    if not _is_whole(temporary, size):
        raise FileError(f"{name}: cannot be written whole; the disk may be full.")


def save_transform(transform: sitk.Transform, temporary: Path, *, name: Path) -> None:
    """Write a transform and make sure that all of it was written; arguments and errors as of `save_image`."""
    if temporary.suffix.lower() in _HDF5:
        _reserve(temporary, transform, name)
    try:
        with itk_path(temporary) as text:
            sitk.WriteTransform(transform, text)
            whole = temporary.suffix.lower() not in (*_MATLAB, *_TEXT) or _reads_back(transform, temporary, text)
    except (RuntimeError, MemoryError) as error:
        raise _unwritten(name, error) from error
    if not whole:
        raise FileError(f"{name}: cannot be written whole; the disk may be full.")


def refuse_short_memory(path: Path, error: Exception) -> None:
    """Tell short memory from a damaged file that asks for more than it can hold.

    Raises:
        MemoryLimitError: the error says that memory ran out, and a small multiple of the file does not fit either.
    """
    if not is_out_of_memory(error):
        return
    try:
        np.empty(_LARGER * path.stat().st_size + _LEAST_BYTES, np.uint8)
    except MemoryError:
        raise MemoryLimitError(f"Out of memory: {path} could not be read.") from error


def _is_plain(path: Path) -> bool:
    try:
        return os.fsencode(path) == str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False


def _linked(path: Path, folder: Path) -> str:
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links on the way stay
    through_folder = folder / "folder" / path.name
    # By its folder where that helps: the voxels of a detached header lie beside it.
    link, place, text = (folder / "folder", whole.parent, through_folder)
    if not _is_plain(through_folder):
        link = text = folder / ("file" + "".join(each for each in path.suffixes[-2:] if each.isascii()))
        place = whole
    try:
        link.symlink_to(place)
    except OSError as error:
        raise _odd_name(path) from error
    if not _is_plain(text):
        raise _odd_name(path)
    return str(text)


def _odd_name(path: Path) -> InputError:
    return FileError(f"{path}: has a name that is no UTF-8, which this format needs; rename it.")


def _unwritten(name: Path, error: Exception) -> FileError | MemoryLimitError:
    if is_out_of_memory(error):
        return MemoryLimitError(f"Out of memory: {name} could not be written.")
    return FileError(f"{name}: cannot be written; the disk may be full, or the format cannot hold it.")


def _reserve(temporary: Path, transform: sitk.Transform, name: Path) -> None:
    """Find out whether the disk has room: HDF5, once it failed to write, brings the process down when that ends."""
    size = _BYTES_PER_NUMBER * (transform.GetNumberOfParameters() + transform.GetNumberOfFixedParameters())
    if sys.platform != "linux":
        return
    try:
        with temporary.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size + _HDF5_EXTRA)
    except OSError as error:
        raise FileError(f"{name}: cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _reads_back(transform: sitk.Transform, temporary: Path, text: str) -> bool:
    if temporary.stat().st_size == 0:
        return False
    if temporary.suffix.lower() in _TEXT and not _ends_a_line(temporary):
        return False
    found = sitk.ReadTransform(text)
    return bool(found.GetNumberOfParameters() == transform.GetNumberOfParameters())


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _is_whole(path: Path, voxel_bytes: int) -> bool:
    """Whether an image file holds as many bytes of voxels as it should; compressed ones are unpacked for that."""
    name = path.name.lower()
    if path.stat().st_size == 0:
        return False
    if name.endswith(".nii"):
        return path.stat().st_size >= _NIFTI_HEADER + voxel_bytes
    if name.endswith(".nii.gz"):
        return _unpacked_size(path, 0) >= _NIFTI_HEADER + voxel_bytes
    if name.endswith(".mha"):
        return _meta_image_is_whole(path, voxel_bytes)
    if name.endswith(".nrrd"):
        start = _head(path).find(b"\n\n")
        return start > 0 and _unpacked_size(path, start + 2) >= voxel_bytes
    return True


def _meta_image_is_whole(path: Path, voxel_bytes: int) -> bool:
    head = _head(path)
    start = re.search(rb"ElementDataFile = LOCAL\r?\n", head)
    if start is None:
        return False
    packed = re.search(rb"CompressedDataSize = (\d+)", head[: start.start()])
    return path.stat().st_size - start.end() >= (int(packed[1]) if packed else voxel_bytes)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_BLOCK)


def _unpacked_size(path: Path, start: int) -> int:
    """Bytes that the gzip data after a start unpack to; -1 where they are cut short."""
    size = 0
    try:
        with path.open("rb") as packed:
            packed.seek(start)
            with gzip.GzipFile(fileobj=packed) as stream:
                while block := stream.read(_BLOCK):
                    size += len(block)
    except (EOFError, OSError, zlib.error):
        return -1
    return size
