"""Workarounds for ITK's file access: paths that are not UTF-8, full disks and lack of memory, which it hides."""

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
"""Upper bound of the bytes of an HDF5 transform file in addition to its parameters."""
_NIFTI_HEADER = 352
_BLOCK = 2**20
_LARGER = 16
"""Memory is low if less than this many times the file's size, and `_MIN_BYTES`, can be allocated."""
_MIN_BYTES = 64 * 2**20


@contextmanager
def itk_path(path: Path) -> Iterator[str]:
    """Context of a path that ITK can open: the file's own, or a temporary link if that is not UTF-8.

    Raises:
        FileError: the link cannot be created.
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
    """Writes a compressed image, and verifies that it was written completely.

    Args:
        image: image to write.
        temporary: output file; its suffix determines the format.
        name: name of the output in messages.

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
        raise FileError(f"{name}: cannot be written completely; the disk may be full.")


def save_transform(transform: sitk.Transform, temporary: Path, *, name: Path) -> None:
    """Writes a transform, and verifies that it was written completely; see `save_image`."""
    if temporary.suffix.lower() in _HDF5:
        _reserve(temporary, transform, name)
    try:
        with itk_path(temporary) as text:
            sitk.WriteTransform(transform, text)
            whole = temporary.suffix.lower() not in (*_MATLAB, *_TEXT) or _reads_back(transform, temporary, text)
    except (RuntimeError, MemoryError) as error:
        raise _unwritten(name, error) from error
    if not whole:
        raise FileError(f"{name}: cannot be written completely; the disk may be full.")


def refuse_short_memory(path: Path, error: Exception) -> None:
    """Distinguishes low memory from a damaged file that declares an impossible size.

    Raises:
        MemoryLimitError: out of memory, and a small multiple of the file size cannot be allocated either.
    """
    if not is_out_of_memory(error):
        return
    try:
        np.empty(_LARGER * path.stat().st_size + _MIN_BYTES, np.uint8)
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
    # Link to the folder if possible, because the voxels of a detached header lie beside it.
    link, place, text = (folder / "folder", whole.parent, through_folder)
    if not _is_plain(through_folder):
        link = text = folder / ("file" + "".join(each for each in path.suffixes[-2:] if each.isascii()))
        place = whole
    try:
        link.symlink_to(place)
    except OSError as error:
        raise _not_utf8(path) from error
    if not _is_plain(text):
        raise _not_utf8(path)
    return str(text)


def _not_utf8(path: Path) -> InputError:
    return FileError(f"{path}: has a name that is not UTF-8, which this format needs; rename it.")


def _unwritten(name: Path, error: Exception) -> FileError | MemoryLimitError:
    if is_out_of_memory(error):
        return MemoryLimitError(f"Out of memory: {name} could not be written.")
    return FileError(f"{name}: cannot be written; the disk may be full, or the format cannot hold it.")


def _reserve(temporary: Path, transform: sitk.Transform, name: Path) -> None:
    """Checks for free disk space, because HDF5 crashes the process at exit after a failed write."""
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
    """Whether an image file holds the expected number of voxel bytes; compressed files are decompressed for that."""
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
    """Decompressed size of the gzip data from `start` on; -1 if they are truncated."""
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
