"""Datasets: labelled scans and ordered pairs, independent of the file layout."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import FileError, InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One scan of a dataset.

    Attributes:
        name: unique in the dataset.
        image: CT file.
        labels: label map on the grid of the image; None without.
        landmarks: file of points in any format of `samereg points`, or None. Landmarks of two scans correspond
            by `name` or `label`, or by order if they have none.
        lesions: label map of lesions in the space of the image, whose volume a transform should keep; or None.
    """

    name: str
    image: Path
    labels: Path | None = None
    landmarks: Path | None = None
    lesions: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One ordered pair.

    Attributes:
        task: set of pairs averaged in one column of a table, such as `CE-to-NC`.
        fixed: fixed scan.
        moving: moving scan.
    """

    task: str
    fixed: Scan
    moving: Scan

    @property
    def name(self) -> str:
        """Name of its folder and files."""
        return f"{self.fixed.name}__{self.moving.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """Meaning of a label value.

    Attributes:
        name: of the organ.
        group: of organs combined in figures; by default the name.
        partial: contoured over only part of its length, which differs between scans: evaluated between the
            first and the last common slice of both contours.
    """

    name: str
    group: str
    partial: bool = False


_NO_NAME = re.compile(r"[/\\\x00-\x1f]|^\.|^$")
"""Characters not allowed in names of scans and sets, because they are used as file names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Labelled scans and pairs.

    Attributes:
        name: for titles.
        cases: in the order of tables.
        structures: by label value; missing values are named by their number.
    """

    name: str
    cases: tuple[Case, ...]
    structures: Mapping[int, Structure]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the cases."""
        return tuple(dict.fromkeys(case.task for case in self.cases))

    def structure(self, value: int) -> Structure:
        """Meaning of a label value."""
        return self.structures.get(value, Structure(name=str(value), group=str(value)))

    def only(self, tasks: tuple[str, ...]) -> "Dataset":
        """The cases of the given tasks; all if none is given.

        Raises:
            InputError: an unknown task.
        """
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            raise InputError(f"{self.name}: has no set of pairs '{unknown[0]}'; it has {', '.join(self.tasks)}.")
        kept = tuple(case for case in self.cases if not tasks or case.task in tasks)
        return Dataset(name=self.name, cases=kept, structures=self.structures)


def checked(dataset: Dataset, source: Path) -> Dataset:
    """Validates a dataset: unique names, and all files exist.

    Args:
        dataset: as read.
        source: its file or folder, for messages.

    Raises:
        FileError: a missing file.
        InputError: an invalid file name, duplicate scan names, or duplicate pairs.
    """
    scans = list(dict.fromkeys(scan for case in dataset.cases for scan in (case.fixed, case.moving)))
    for name in (*(scan.name for scan in scans), *dataset.tasks):
        if _NO_NAME.search(name):
            raise InputError(
                f"{source}: has the name {name!r}, which is used for file names; need one without slashes and control "
                "characters that does not begin with a dot."
            )
    _refuse_twice([scan.name for scan in scans], f"{source}: has two scans named")
    _refuse_twice([f"{case.name} of {case.task}" for case in dataset.cases], f"{source}: lists twice the pair")
    for scan in scans:
        for path in (scan.image, scan.labels, scan.landmarks, scan.lesions):
            if path is not None and not path.exists():
                raise FileError(f"{path}: does not exist, but {source} lists it for the scan '{scan.name}'.")
    return dataset


def _refuse_twice(names: Sequence[str], found: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"{found} '{twice[0]}'; need each once.")
