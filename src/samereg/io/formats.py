"""Shared parts of all file formats: suffixes, and the certainty of recognition.

Formats are registered once (`transform_files`, `point_files`, `images`); no other module knows a format's suffixes
or special cases.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Certainty = Literal["declared", "compatible", "name"]
"""Declared by the file itself; compatible with its content, as other formats may be; or by its name only."""

BY_CERTAINTY: tuple[Certainty, ...] = ("declared", "compatible", "name")
"""From the surest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """Result of recognising a file.

    Attributes:
        format: name of the format.
        certainty: how certain the answer is.
        why: evidence, in words.
    """

    format: str
    certainty: Certainty
    why: str

    @property
    def certain(self) -> bool:
        """Whether the file identifies itself; otherwise files of other tools look the same."""
        return self.certainty == "declared"


def has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    """Whether a file's name ends in one of the suffixes, ignoring case."""
    return path.name.lower().endswith(tuple(suffixes))


def suffix_of(path: Path, suffixes: Iterable[str]) -> str:
    """The longest of the suffixes that a file's name ends in, in lower case; empty if there is none."""
    lowered = path.name.lower()
    return max((suffix for suffix in suffixes if lowered.endswith(suffix)), key=len, default="")


def stem_of(path: Path, suffixes: Iterable[str]) -> str:
    """A file's name without the longest matching suffix."""
    return path.name[: len(path.name) - len(suffix_of(path, suffixes))]
