"""A pair of scans to register, what goes along with the moving one, and what its folder is called."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samereg.errors import UsageError
from samereg.io.formats import stem_of
from samereg.io.images import IMAGE_SUFFIXES

BETWEEN = "__"
"""Stands between the names of the fixed and the moving scan in the name of a run folder."""

MAX_NAME_BYTES = 200
"""Of a run folder: file systems allow 255 bytes, and temporary names take some."""

RESERVED_NAMES = ("summary.csv", "index.html", "logs", "store")
"""Entries of the output folder that are no run folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """A scan by path.

    Attributes:
        path: absolute; a file, or a folder of DICOM slices.
        series: of a folder, the UID to take or its beginning; None for the largest CT.
    """

    path: Path
    series: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanPair:
    """What is registered, and which files are carried along.

    Attributes:
        name: of its run folder.
        fixed: scan that stays.
        moving: scan to be aligned with it.
        labels: label maps in the space of the moving scan, carried onto the fixed grid.
        images: other images in that space.
        points: files of points in that space.
        fixed_labels: label map in the space of the fixed scan that the first of `labels` is compared with.
    """

    name: str
    fixed: Scan
    moving: Scan
    labels: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()
    fixed_labels: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file or folder that is read."""
        more = () if self.fixed_labels is None else (self.fixed_labels,)
        return (self.fixed.path, self.moving.path, *self.labels, *self.images, *self.points, *more)


def pairs_to_reference(reference: Scan, scans: Sequence[Path]) -> tuple[ScanPair, ...]:
    """Every scan onto one; the reference itself is left out where it lies among them.

    Raises:
        UsageError: no other scan, or names that cannot be told apart.
    """
    others = [path for path in scans if path.resolve() != reference.path.resolve()]
    if not others:
        raise UsageError(f"{reference.path}: is the only scan; need others in --data to register with it.")
    names = scan_names([reference.path, *others])
    pairs = [
        ScanPair(name=names[reference.path] + BETWEEN + names[path], fixed=reference, moving=Scan(path=path))
        for path in others
    ]
    return named_apart(pairs)


def pairs_of_all(scans: Sequence[Path]) -> tuple[ScanPair, ...]:
    """Every scan onto every other one, in both directions.

    Raises:
        UsageError: fewer than two scans, or names that cannot be told apart.
    """
    if len(scans) < 2:
        raise UsageError(f"Got {len(scans)} scan for --all-to-all; need two or more.")
    names = scan_names(scans)
    pairs = [
        ScanPair(name=names[fixed] + BETWEEN + names[moving], fixed=Scan(path=fixed), moving=Scan(path=moving))
        for fixed in scans
        for moving in scans
        if fixed != moving
    ]
    return named_apart(pairs)


def scan_names(paths: Iterable[Path]) -> dict[Path, str]:
    """A name for each scan: that of its file; with the folders above it as far as it takes to tell them apart.

    Raises:
        UsageError: two that cannot be told apart.
    """
    names = {path: _stem(path) for path in paths}
    depth = 0
    while clashing := [group for group in _by_key(names).values() if len(group) > 1]:
        depth += 1
        for path in (path for group in clashing for path in group):
            if depth >= len(path.parts):
                raise UsageError(
                    f"{clashing[0][0]} and {clashing[0][1]}: have one name; rename one of them, or name their pairs in "
                    "the column 'name' of a --pairs table."
                )
            names[path] = "_".join([*path.parts[-1 - depth : -1], _stem(path)]).replace("/", "")
    return names


def named_apart(pairs: Sequence[ScanPair]) -> tuple[ScanPair, ...]:
    """The pairs, if each has a folder of its own.

    Raises:
        UsageError: two would share a folder, or a name that no folder can have.
    """
    taken: dict[str, ScanPair] = {}
    for pair in pairs:
        fault = name_fault(pair.name)
        if fault:
            raise UsageError(f"{pair.moving.path}: its run folder would be {pair.name[:80]!r}, {fault}; rename it.")
        other = taken.setdefault(name_key(pair.name), pair)
        if other is not pair:
            raise UsageError(
                f"{pair.moving.path} on {pair.fixed.path}: would be written to {pair.name}, as {other.moving.path} on "
                f"{other.fixed.path} is; rename one of the scans, or name the pairs in the column 'name' of --pairs."
            )
    return tuple(pairs)


def name_fault(name: str) -> str:
    """Why no run folder can have a name; empty if one can."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        return "which is no plain name of a folder"
    if name.casefold() in RESERVED_NAMES:
        return "which is the name of another output"
    if len(name.encode("utf-8", errors="surrogateescape")) > MAX_NAME_BYTES:
        return f"which is longer than {MAX_NAME_BYTES} bytes"
    return ""


def name_key(name: str) -> str:
    """What two names of one folder have in common on every disk."""
    return unicodedata.normalize("NFC", name).casefold()


def absolute(pair: ScanPair) -> ScanPair:
    """The pair with paths that mean the same wherever a worker was started."""

    def whole(paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.absolute() for path in paths)

    return replace(
        pair,
        fixed=replace(pair.fixed, path=pair.fixed.path.absolute()),
        moving=replace(pair.moving, path=pair.moving.path.absolute()),
        labels=whole(pair.labels),
        images=whole(pair.images),
        points=whole(pair.points),
        fixed_labels=None if pair.fixed_labels is None else pair.fixed_labels.absolute(),
    )


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else stem_of(path, IMAGE_SUFFIXES)


def _by_key(names: dict[Path, str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(name_key(name), []).append(path)
    return groups
