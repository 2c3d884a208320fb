"""Checked decompression in pieces: complete, with a valid checksum, and never more bytes than expected."""

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

from samereg.errors import FileError

Packing = Literal["zlib", "gzip", "bzip2"]

GZIP_MAGIC = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31
_UNPACKERS: dict[Packing, Callable[[], Any]] = {
    "zlib": zlib.decompressobj,
    "gzip": lambda: zlib.decompressobj(_WITH_GZIP_HEADER),
    "bzip2": bz2.BZ2Decompressor,
}
_PIECE: dict[Packing, int] = {"zlib": 65536, "gzip": 65536, "bzip2": 2048}
"""Compressed bytes per piece: each expands to at most 70 MB."""


def unpack(packed: bytes | memoryview, packing: Packing, size: int) -> bytearray:
    """Decompresses data of a known size.

    Args:
        packed: compressed data only; gzip and bzip2 may have several members.
        packing: compression method.
        size: required number of decompressed bytes.

    Raises:
        FileError: truncated, damaged, of another size, or followed by other data.
    """
    unpacked = bytearray()
    for piece in _pieces(packed, packing):
        unpacked += piece
        if len(unpacked) > size:
            raise FileError(f"holds more data than its header says: {size} bytes are needed, more follow.")
    if len(unpacked) < size:
        raise FileError(f"is truncated: {size} bytes of data are needed, but {len(unpacked)} are there.")
    return unpacked


def unpack_start(packed: bytes, packing: Packing, size: int) -> bytes:
    """Decompresses the first bytes of data: `size` of them, or fewer if there are not as many.

    Raises:
        FileError: damaged.
    """
    start = bytearray()
    for piece in _pieces(packed, packing):
        start += piece
        if len(start) >= size:
            break
    return bytes(start[:size])


def _pieces(packed: bytes | memoryview, packing: Packing) -> Iterator[bytes]:
    rest = memoryview(packed)
    first = True
    while first or _has_another_member(rest, packing):
        first = False
        member = _UNPACKERS[packing]()
        while not member.eof:
            if not rest:
                raise FileError("is truncated or damaged: its compressed data end early.")
            piece, rest = rest[: _PIECE[packing]], rest[_PIECE[packing] :]
            yield _unpacked(member, piece)
        if member.unused_data:
            rest = memoryview(packed)[len(packed) - len(rest) - len(member.unused_data) :]


def _has_another_member(rest: memoryview, packing: Packing) -> bool:
    # Only gzip may be padded, with zeros.
    if not rest or (packing == "gzip" and not any(rest)):
        return False
    if packing == "zlib" or (packing == "gzip" and bytes(rest[:2]) != GZIP_MAGIC):
        raise FileError(f"is damaged: {len(rest)} other bytes follow its compressed data.")
    return True


def _unpacked(member: Any, piece: memoryview) -> bytes:
    try:
        unpacked: bytes = member.decompress(piece)
    except (zlib.error, OSError, ValueError) as error:
        raise FileError("is truncated or damaged: its compressed data do not fit their checksum or format.") from error
    return unpacked
