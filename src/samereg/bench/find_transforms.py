"""Which files of a results folder hold the transform of a pair, whatever tool wrote them."""

from collections.abc import Sequence
from pathlib import Path

from samereg.bench.dataset import Case
from samereg.errors import FileError, InputError, UsageError
from samereg.geometry.chain import chain_all
from samereg.geometry.transform import Transform
from samereg.io.format_names import TransformFormatName
from samereg.io.formats import has_suffix, stem_of
from samereg.io.transform_files import TRANSFORM_SUFFIXES, gather_transforms, read_transform_file, recognise_transform
from samereg.io.transform_formats.spaces import Spaces

Files = tuple[Path, ...]
"""Of one transform, in the order in which they are applied to fixed points."""

PLAIN_NAME = "transform"
"""A file of this name in a pair's folder is the one, whatever else lies there."""
PLAIN_SUFFIX = TRANSFORM_SUFFIXES[0]
"""Named as an example."""

_INVERSE = "inverse"
"""Stands in the names of files that lead from moving to fixed points, whoever wrote them."""


def find_transforms(results: Path, cases: Sequence[Case]) -> list[Files]:
    """Files of the transform of each pair.

    Raises:
        FileError: none or several for a pair, or a file that several pairs would share.
    """
    found = [find_transform(results, case) for case in cases]
    owners: dict[Path, str] = {}
    for case, files in zip(cases, found, strict=True):
        for path in files:
            if owners.setdefault(path, case.name) != case.name:
                raise FileError(
                    f"{path}: would be the transform of the pairs {owners[path]} and {case.name}; need a file for each."
                )
    return found


def find_transform(results: Path, case: Case) -> Files:
    """Files of the transform of a pair.

    Looked for in the folder RESULTS/FIXED__MOVING, and as RESULTS/FIXED__MOVING.SUFFIX or under the names that ANTs
    and the Learn2Reg challenge give.

    Raises:
        FileError: there is none, or there are several.
    """
    folder = results / case.name
    found = [*_inside(folder), *_beside(results, case)]
    if not found:
        raise FileError(
            f"{results}: holds no transform for the pair {case.name}; need one in the folder {folder}, or the file "
            f"{results / case.name}{PLAIN_SUFFIX}."
        )
    if len(found) > 1:
        names = ", ".join(str(files[0].relative_to(results)) for files in found)
        raise FileError(
            f"{results}: holds several transforms for the pair {case.name}: {names}; need one, or one in {folder} that "
            f"is called {PLAIN_NAME}, as {PLAIN_NAME}{PLAIN_SUFFIX}."
        )
    return found[0]


def read_found(files: Files, *, format: TransformFormatName | None, spaces: Spaces) -> Transform:
    """The transform of the files of a pair, fixed world to moving world.

    Args:
        files: in the order in which they are applied.
        format: of each; None tells it from the file.
        spaces: grids of the pair's scans.

    Raises:
        UsageError: a format that the file does not tell.
        FileError: damaged, or of no known format.
        TransformError: not a transform of 3-D space.
    """
    return chain_all([read_transform_file(path, format=format, spaces=spaces) for path in files])


def _inside(folder: Path) -> list[Files]:
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file() and _has_suffix(path))
    plain = [path for path in files if stem_of(path, TRANSFORM_SUFFIXES) == PLAIN_NAME]
    if plain:
        return [(path,) for path in plain]
    return [found.files for found in gather_transforms([path for path in files if _is_transform(path)])]


def _beside(results: Path, case: Case) -> list[Files]:
    if not results.is_dir():
        return []
    stems = {case.name, *_challenge_stems(case)}
    near = [
        path
        for path in sorted(results.iterdir())
        if path.name.startswith((case.name, *stems)) and path.is_file() and _has_suffix(path)
    ]
    return [found.files for found in gather_transforms(near) if found.stem in stems]


def _challenge_stems(case: Case) -> set[str]:
    """Names as `disp_0011_0001_0011_0000` for scans named `ThoraxCBCT_0011_0001` and `ThoraxCBCT_0011_0000`."""
    fixed, moving = ([name, *_numbers(name)] for name in (case.fixed.name, case.moving.name))
    return {f"disp_{one}_{other}" for one, other in zip(fixed, moving, strict=False) if one and other}


def _numbers(name: str) -> tuple[str, str]:
    """What follows the dataset's name: subject and visit, and the subject alone."""
    after = name.partition("_")[2]
    return after, after.partition("_")[0]


def _is_transform(path: Path) -> bool:
    """Whether a file of any name is a transform from fixed to moving points, and not an image, a log or an inverse."""
    if _INVERSE in path.name.lower():
        return False
    try:
        return recognise_transform(path).sureness != "named"
    except UsageError:  # a file of one of several formats, which --format names
        return True
    except InputError:
        return False


def _has_suffix(path: Path) -> bool:
    return has_suffix(path, TRANSFORM_SUFFIXES) and not path.name.startswith(".")
