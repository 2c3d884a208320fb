"""What a comparison runs on: labelled scans and the ordered pairs to register; knows no file layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samereg.errors import InputError


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
