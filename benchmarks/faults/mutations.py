"""Random damage: flipped bytes, lost, added, emptied and repeated blocks, foreign beginnings, extreme fields."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.faults.splices import RAW, Recipe, Splice, view_of

MAX_BLOCK = 2048
"""Bytes that one block holds at most."""
HEADER_BYTES = 1024
"""Half of all flips hit the beginning of a file, where headers are."""
MAX_SPLICES = 3

MAGICS = (
    b"\x5c\x01\x00\x00",
    b"\x1f\x8b\x08\x00",
    b"NRRD0004\n",
    b"ObjectType = Image\n",
    b"\x89HDF\r\n\x1a\n",
    b"PK\x03\x04",
    b"#Insight Transform File V1.0\n",
    b"# vtk DataFile Version 3.0\n",
    b"solid \n",
    b'{"markups": []}',
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x00" * 16,
)
"""How files of other formats begin."""

EXTREME_WORDS = (
    b"0", b"-1", b"1", b"2", b"7", b"nan", b"inf", b"-inf", b"1e400", b"1e-320", b"1e308", b"-3e38", b"0.5",
    b"2147483647", b"-2147483648", b"4294967296", b"99999999999999999999", b"65536", b"3000", b"x", b"", b"null",
    b"true", b"[]", b"{}", b'""', b"1,5", b"0x10", b"1_000", b"\xc3\xa9", b"\xff",
)  # fmt: skip
"""What may stand in a text file where a word or a number stood."""

_WORD = re.compile(rb"[^\s,:=()\[\]{}\"']+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A place in a file that means something, and what else could stand there.

    Attributes:
        file: its name.
        at: first byte.
        size: bytes.
        choices: contents to put there, of any length.
        view: as of `Splice`.
    """

    file: str
    at: int
    size: int
    choices: tuple[bytes, ...]
    view: str = RAW


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What can be damaged in one format.

    Attributes:
        files: the undamaged base.
        views: file and view, for each of which bytes are damaged.
        fields: places with a meaning.
        text_bytes: of each view, how many bytes at its beginning are text; 0 for binary ones.
    """

    files: dict[str, bytes]
    views: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    text_bytes: dict[tuple[str, str], int]


def random_recipe(name: str, target: Target, random: np.random.Generator) -> Recipe:
    """One to three mutations of a base, most often one."""
    count = int(random.choice([1, 1, 1, 2, MAX_SPLICES]))
    splices: list[Splice] = []
    for _ in range(count):
        made = _one(target, random)
        # A second splice may not count bytes that the first has moved, nor unpack what it has damaged.
        if all(made.file != other.file or (made.view == other.view and other.keeps_length) for other in splices):
            splices.append(made)
    return Recipe(format=name, splices=tuple(splices))


def _one(target: Target, random: np.random.Generator) -> Splice:
    if target.fields and random.random() < 0.3:
        field = target.fields[int(random.integers(len(target.fields)))]
        new = field.choices[int(random.integers(len(field.choices)))]
        return Splice(kind="field", file=field.file, view=field.view, at=field.at, size=field.size, new=new.hex())
    file, view = target.views[int(random.integers(len(target.views)))]
    content = view_of(target.files[file], view)
    kinds: Sequence[tuple[str, _Maker]] = _MAKERS
    text = target.text_bytes.get((file, view), 0)
    if text and random.random() < 0.5:
        kinds = [("word", lambda content, random: _word(content[:text], random))]
    kind, make = kinds[int(random.integers(len(kinds)))]
    at, size, new = make(content, random)
    return Splice(kind=kind, file=file, view=view, at=at, size=size, new=new.hex())


_Made = tuple[int, int, bytes]
_Maker = Callable[[bytes, np.random.Generator], _Made]


def _place(content: bytes, random: np.random.Generator) -> int:
    within = min(len(content), HEADER_BYTES) if random.random() < 0.5 else len(content)
    return int(random.integers(max(1, within)))


def _flip(content: bytes, random: np.random.Generator) -> _Made:
    at = _place(content, random)
    mask = 1 << int(random.integers(8)) if random.random() < 0.5 else int(random.integers(1, 256))
    return at, 1, bytes([content[at] ^ mask])


def _truncate(content: bytes, random: np.random.Generator) -> _Made:
    at = (
        len(content) - 1 - int(random.integers(min(64, len(content))))
        if random.random() < 0.4
        else _place(content, random)
    )
    return at, len(content) - at, b""


def _extend(content: bytes, random: np.random.Generator) -> _Made:
    return len(content), 0, random.bytes(int(random.integers(1, MAX_BLOCK)))


def _zero(content: bytes, random: np.random.Generator) -> _Made:
    at = _place(content, random)
    size = min(int(random.integers(1, MAX_BLOCK)), len(content) - at)
    return at, size, bytes(size)


def _duplicate(content: bytes, random: np.random.Generator) -> _Made:
    at = _place(content, random)
    block = content[at : at + int(random.integers(1, MAX_BLOCK))]
    return at, 0, block


def _repeat_elsewhere(content: bytes, random: np.random.Generator) -> _Made:
    source, at = _place(content, random), _place(content, random)
    block = content[source : source + int(random.integers(1, MAX_BLOCK))][: len(content) - at]
    return at, len(block), block


def _remove(content: bytes, random: np.random.Generator) -> _Made:
    at = _place(content, random)
    return at, min(int(random.integers(1, 64)), len(content) - at), b""


def _magic(content: bytes, random: np.random.Generator) -> _Made:
    magic = MAGICS[int(random.integers(len(MAGICS)))]
    return 0, min(len(magic), len(content)) if random.random() < 0.5 else 0, magic


def _word(content: bytes, random: np.random.Generator) -> _Made:
    words = list(_WORD.finditer(content))
    if not words:
        return _flip(content, random)
    chosen = words[int(random.integers(len(words)))]
    new = EXTREME_WORDS[int(random.integers(len(EXTREME_WORDS)))]
    return chosen.start(), chosen.end() - chosen.start(), new


_MAKERS: tuple[tuple[str, _Maker], ...] = (
    ("flip", _flip),
    ("flip", _flip),
    ("truncate", _truncate),
    ("extend", _extend),
    ("zero", _zero),
    ("duplicate", _duplicate),
    ("repeat", _repeat_elsewhere),
    ("remove", _remove),
    ("magic", _magic),
)
