"""Interface of transform formats: one object at the end of each module here, registered in `transform_files`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised
from samereg.io.transform_formats.spaces import Spaces

Need = Literal["fixed", "moving"]
"""An image whose grid a format requires."""

FIXED_TO_MOVING = "fixed to moving (pull-back)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One transform found in a folder.

    Attributes:
        stem: common file name, without the format's suffixes.
        files: in the order in which they are applied to fixed points.
    """

    stem: str
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Transforms of one format in a folder.

    Attributes:
        found: the transforms.
        skipped: files that belong to one of them, or are intermediate results, and are not transforms of their own.
    """

    found: tuple[Found, ...] = ()
    skipped: tuple[Path, ...] = ()


def no_files(_: Path) -> tuple[Path, ...]:
    """No side files, as in most formats."""
    return ()


def gather_nothing(_: Sequence[Path]) -> Gathered:
    """No groups of files, as in most formats."""
    return Gathered()


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformFormat:
    """A file format of transforms.

    Attributes:
        name: its name for users.
        holds: description of its files, for messages.
        frame: coordinate frame of its values.
        units: of its values.
        direction: of the mapping, in the tool's terms.
        suffixes: of its file names; some tools use any.
        written: suffixes that select this format by default.
        affine_suffix: of a file of one affine map that the tool accepts as initial transform; empty if there is none.
        needs: images required for reading and writing.
        is_prefix: whether a path may be a prefix of several files.
        recognise: recognises a file; None if it has another format.
        read: reads a transform, fixed world to moving world, LPS+ mm.
        write: writes a transform and returns the files written.
        side_files: files that writing to a path may create beside it, or instead of it.
        read_with: further files that reading opens.
        gather: groups the files of a folder into transforms.
    """

    name: str
    holds: str
    frame: str
    units: str
    recognise: Callable[[Path], Recognised | None]
    read: Callable[[Path, Spaces], Transform]
    write: Callable[[Transform, Path, Spaces], tuple[Path, ...]]
    direction: str = FIXED_TO_MOVING
    suffixes: tuple[str, ...] = field(default=())
    written: tuple[str, ...] = field(default=())
    affine_suffix: str = ""
    needs: tuple[Need, ...] = field(default=())
    is_prefix: bool = False
    side_files: Callable[[Path], tuple[Path, ...]] = no_files
    read_with: Callable[[Path], tuple[Path, ...]] = no_files
    gather: Callable[[Sequence[Path]], Gathered] = gather_nothing
