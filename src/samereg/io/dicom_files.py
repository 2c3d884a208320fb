"""Search for DICOM files below a folder, without reading their headers."""

import os
from pathlib import Path
from typing import Literal

from pydicom.valuerep import VR

from samereg.errors import FileError

_PREAMBLE = 128
_MAGIC = b"DICM"
_SUFFIXES = (".dcm", ".dicom", ".ima", ".dic", ".dc3")
"""Suffixes of files that are treated as DICOM whatever their contents."""
_INDEX = "DICOMDIR"
"""Name reserved by DICOM Part 10 for the index of a medium, which holds no image."""

_FIRST_GROUPS = (0x0002, 0x0008)
"""A file without preamble begins with the file's own header or, without that, with the identity of the object."""
_LONG_VRS = frozenset((VR.OB, VR.OD, VR.OF, VR.OL, VR.OV, VR.OW, VR.SQ, VR.SV, VR.UC, VR.UN, VR.UR, VR.UT, VR.UV))
"""Value representations with a 4-byte length after 2 reserved bytes."""
_VRS = frozenset(str(vr) for vr in VR if len(vr) == 2)
_ELEMENTS = 3
"""Number of elements in ascending order that identify a file as DICOM."""
_MAX_VALUE_BYTES = 1024
"""Maximum length in bytes of a value at the beginning of these two groups."""
_START = _PREAMBLE + len(_MAGIC) + _ELEMENTS * _MAX_VALUE_BYTES


def files_below(folder: Path) -> list[Path]:
    """Files in a folder and its subfolders, in the order of their paths; hidden files and folders are left out.

    Links are followed. Each file and folder is visited once, so links may be circular.

    Raises:
        FileError: a folder that cannot be searched.
    """
    searched: set[str] = set()
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in searched:
            folders.clear()
            continue
        searched.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    targets: dict[str, Path] = {}
    # Before the links to them, the files themselves.
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        # A broken link may have been a slice; pipes and sockets are skipped.
        if path.is_file() or not path.exists():
            targets.setdefault(os.path.realpath(path), path)
    return sorted(targets.values())


def is_dicom(path: Path) -> bool:
    """Whether a file has a DICOM suffix or begins like DICOM, with or without a preamble.

    Raises:
        FileError: a file that cannot be read.
    """
    if path.name.upper() == _INDEX:
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    if not path.exists():
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(_START)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return start[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC or _begins_with_elements(start)


def _refuse_folder(error: OSError) -> None:
    raise FileError(f"{error.filename}: cannot be searched: {error.strerror or error}.") from error


def _begins_with_elements(start: bytes) -> bool:
    """Whether bytes are elements of one of the first groups, in ascending order."""
    byte_order: Literal["little", "big"] = "little" if int.from_bytes(start[:2], "little") in _FIRST_GROUPS else "big"
    last, place = 0, 0
    for _ in range(_ELEMENTS):
        head = start[place : place + 12]
        group, element = (int.from_bytes(head[n : n + 2], byte_order) for n in (0, 2))
        tag = group << 16 | element
        length, head_length = _value_length(head, byte_order)
        if len(head) < 8 or group not in _FIRST_GROUPS or tag <= last or length > _MAX_VALUE_BYTES:
            return False
        last, place = tag, place + head_length + length
    return True


def _value_length(head: bytes, byte_order: Literal["little", "big"]) -> tuple[int, int]:
    """Length of an element's value and of the bytes before it."""
    vr = head[4:6].decode("latin-1")
    if vr not in _VRS:
        return int.from_bytes(head[4:8], byte_order), 8
    if vr in _LONG_VRS:
        return int.from_bytes(head[8:12], byte_order), 12
    return int.from_bytes(head[6:8], byte_order), 8
