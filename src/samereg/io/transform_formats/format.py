"""What a format of transform files is: one object at the end of each file here, listed once in `transform_files`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from samereg.geometry.transform import Transform
from samereg.io.formats import Recognised
from samereg.io.transform_formats.spaces import Spaces

Need = Literal["fixed", "moving"]
"""An image without whose grid the numbers of a format mean nothing."""

FIXED_TO_MOVING = "fixed to moving (pull-back)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One transform among the files of a folder.

    Attributes:
        stem: what its files are called, without what the format adds.
        files: in the order in which they are applied to fixed points.
    """

    stem: str
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What a format makes of the files of a folder.

    Attributes:
        found: its transforms.
        passed_over: files that belong to one of them or to its making, and are none themselves.
    """

    found: tuple[Found, ...] = ()
    passed_over: tuple[Path, ...] = ()


def no_files(_: Path) -> tuple[Path, ...]:
    """Nothing lies beside a file of most formats."""
    return ()


def nothing_gathered(_: Sequence[Path]) -> Gathered:
    """Each file of most formats is a transform of its own."""
    return Gathered()


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformFormat:
    """One format of transform files.

    Attributes:
        name: what users call it.
        holds: its files in words, for messages.
        frame: axes of its numbers.
        units: of its numbers.
        direction: which points it maps where, in the words of its tool.
        suffixes: what names of its files end in; some tools write any.
        written: suffixes that ask for this format where none is named.
        affine_suffix: of a file of one affine map, as the tool takes for a start; empty where there is no such file.
        needs: images that reading and writing cannot do without.
        is_prefix: whether a name may stand for several files that begin with it.
        recognise: what a file is taken for; None if it is of another format.
        read: transform of a file, fixed world to moving world, LPS+ mm.
        write: writes one; returns the files that it wrote.
        side_files: files that writing to a path may leave beside it, or in its place.
        read_with: files that reading opens besides the path.
        gather: which files of a folder make one transform together.
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
    gather: Callable[[Sequence[Path]], Gathered] = nothing_gathered
