"""Search for the transform files of pairs in a results folder."""

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
"""Files of one transform, in order of application to fixed points."""

PLAIN_NAME = "transform"
"""Stem of the file that takes precedence in a pair's folder."""
PLAIN_SUFFIX = TRANSFORM_SUFFIXES[0]
"""Suffix used in messages."""

_INVERSE = "inverse"
"""Part of the names of files that map moving to fixed points, of any tool."""


def find_transforms(results: Path, cases: Sequence[Case]) -> list[Files]:
    """Finds the files of the transform of each pair.

    Raises:
        FileError: none or several for a pair, or a file matched by several pairs.
    """
    found = [find_transform(results, case) for case in cases]
    owners: dict[Path, str] = {}
    for case, files in zip(cases, found, strict=True):
        for path in files:
            if owners.setdefault(path, case.name) != case.name:
                raise FileError(f"{path}: matches the pairs {owners[path]} and {case.name}; need a file for each.")
    return found


def find_transform(results: Path, case: Case) -> Files:
    """Finds the files of the transform of a pair.

    Searches the folder RESULTS/FIXED__MOVING, RESULTS/FIXED__MOVING.SUFFIX, and names used by ANTs
    and the Learn2Reg challenge.

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
    """Reads the transform of a pair, fixed world to moving world.

    Args:
        files: in order of application.
        format: of the files; None to detect it.
        spaces: grids of the pair's scans.

    Raises:
        UsageError: a format that cannot be detected.
        FileError: damaged, or an unknown format.
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
    """Names such as `disp_0011_0001_0011_0000` for scans `ThoraxCBCT_0011_0001` and `ThoraxCBCT_0011_0000`."""
    fixed, moving = ([name, *_numbers(name)] for name in (case.fixed.name, case.moving.name))
    return {f"disp_{one}_{other}" for one, other in zip(fixed, moving, strict=False) if one and other}


def _numbers(name: str) -> tuple[str, str]:
    """Parts after the dataset's name: subject with visit, and subject only."""
    after = name.partition("_")[2]
    return after, after.partition("_")[0]


def _is_transform(path: Path) -> bool:
    """Whether a file is a transform from fixed to moving points, and not an image, a log or an inverse."""
    if _INVERSE in path.name.lower():
        return False
    try:
        return recognise_transform(path).certainty != "name"
    except UsageError:  # ambiguous format, which --format determines
        return True
    except InputError:
        return False


def _has_suffix(path: Path) -> bool:
    return has_suffix(path, TRANSFORM_SUFFIXES) and not path.name.startswith(".")
