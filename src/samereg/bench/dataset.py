"""What a comparison runs on: labelled scans and the ordered pairs to register; knows no file layout."""

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
        landmarks: file of points in any format that `samereg points` reads, or None. Landmarks of two scans belong
            together by `name` or `label`; where they have none, by their order.
    """

    name: str
    image: Path
    labels: Path | None = None
    landmarks: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One ordered pair.

    Attributes:
        task: set of pairs that one column of a table averages over, as `CE-to-NC`.
        fixed: scan that stays.
        moving: scan to be aligned with it.
    """

    task: str
    fixed: Scan
    moving: Scan

    @property
    def name(self) -> str:
        """Of its folder and files."""
        return f"{self.fixed.name}__{self.moving.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """What a label value stands for.

    Attributes:
        name: of the organ.
        group: of organs that figures show together; the name itself where nobody says otherwise.
        partial: contoured over part of its length only, and not the same part in every scan: scored between the
            first and the last slice that both contours reach.
    """

    name: str
    group: str
    partial: bool = False


_NO_NAME = re.compile(r"[/\\\x00-\x1f]|^\.|^$")
"""What the name of a scan or of a set of pairs may not have in it: files and folders are called after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Labelled scans and pairs.

    Attributes:
        name: for titles.
        cases: in the order in which tables list them.
        structures: by label value; a value that is missing here is called by its number.
    """

    name: str
    cases: tuple[Case, ...]
    structures: Mapping[int, Structure]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the cases."""
        return tuple(dict.fromkeys(case.task for case in self.cases))

    def structure(self, value: int) -> Structure:
        """What a label value stands for."""
        return self.structures.get(value, Structure(name=str(value), group=str(value)))

    def only(self, tasks: tuple[str, ...]) -> "Dataset":
        """The cases of some tasks; all for an empty choice.

        Raises:
            InputError: a task that the dataset does not have.
        """
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            raise InputError(f"{self.name}: has no set of pairs '{unknown[0]}'; it has {', '.join(self.tasks)}.")
        kept = tuple(case for case in self.cases if not tasks or case.task in tasks)
        return Dataset(name=self.name, cases=kept, structures=self.structures)


def checked(dataset: Dataset, source: Path) -> Dataset:
    """The dataset, if results can be told apart by its names and all of its files exist.

    Args:
        dataset: as it was read.
        source: file or folder that it was read from, for messages.

    Raises:
        FileError: a file that does not exist.
        InputError: a name that no file can have, two scans of one name, or a pair that is listed twice.
    """
    scans = list(dict.fromkeys(scan for case in dataset.cases for scan in (case.fixed, case.moving)))
    for name in (*(scan.name for scan in scans), *dataset.tasks):
        if _NO_NAME.search(name):
            raise InputError(
                f"{source}: has the name {name!r}, which files are called after; need one without slashes and control "
                "characters that does not begin with a dot."
            )
    _refuse_twice([scan.name for scan in scans], f"{source}: has two scans named")
    _refuse_twice([f"{case.name} of {case.task}" for case in dataset.cases], f"{source}: lists twice the pair")
    for scan in scans:
        for path in (scan.image, scan.labels, scan.landmarks):
            if path is not None and not path.exists():
                raise FileError(f"{path}: does not exist, but {source} lists it for the scan '{scan.name}'.")
    return dataset


def _refuse_twice(names: Sequence[str], found: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"{found} '{twice[0]}'; need each once.")
