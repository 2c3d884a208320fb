"""What formats of every family share: names of their files, and how sure a look at one is.

A family lists its formats once (`transform_files`, `point_files`, `images`); nothing else knows what a format's files
are called or what is special about them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Sureness = Literal["said", "shaped", "named"]
"""The file itself says so; its content fits, but other tools' files look the same; its name alone."""

RANKED: tuple[Sureness, ...] = ("said", "shaped", "named")
"""From the surest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """What a format takes a file for.

    Attributes:
        format: name of the format.
        sureness: how sure that is.
        why: what it was told by.
    """

    format: str
    sureness: Sureness
    why: str

    @property
    def certain(self) -> bool:
        """Whether the file itself says so; otherwise other tools' files look the same."""
        return self.sureness == "said"


def has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    """Whether a file's name ends in one of these, in capitals or small letters."""
    return path.name.lower().endswith(tuple(suffixes))


def suffix_of(path: Path, suffixes: Iterable[str]) -> str:
    """The longest of these that a file's name ends in, in small letters; empty if it ends in none."""
    lowered = path.name.lower()
    return max((suffix for suffix in suffixes if lowered.endswith(suffix)), key=len, default="")


def stem_of(path: Path, suffixes: Iterable[str]) -> str:
    """A file's name without the longest of these that it ends in."""
    return path.name[: len(path.name) - len(suffix_of(path, suffixes))]
