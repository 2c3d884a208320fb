"""The paper's protocol on synthetic subjects made on the spot."""

import json
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from samereg.app.cohort import CohortSettings, write_cohort
from samereg.app.plain import to_plain
from samereg.app.progress import OnProgress
from samereg.bench.dataset import Case, Dataset, Scan, Structure, checked
from samereg.errors import FileError
from samereg.io.atomic import contents
from samereg.phantom.organs import ORGANS

FIRST_SUBJECT = 900
"""Far from the numbers that training and tests draw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomProtocol:
    """How many subjects, and how finely they are drawn.

    Attributes:
        subjects: n of them give n (n - 1) ordered pairs in each of two tasks.
        spacing_mm: voxel edge.
        shape: voxels along (d, h, w).
    """

    subjects: int
    spacing_mm: float
    shape: tuple[int, int, int]


PAPER = PhantomProtocol(subjects=10, spacing_mm=2.0, shape=(192, 144, 208))
"""10 subjects, 90 ordered pairs, 2 mm, 208 x 144 x 192 (SAME, section 3)."""

SMALL = PhantomProtocol(subjects=3, spacing_mm=3.0, shape=(128, 96, 140))
"""The same in minutes: 6 ordered pairs at 3 mm."""


def make_phantom_dataset(folder: Path, protocol: PhantomProtocol, *, on_progress: OnProgress | None = None) -> Dataset:
    """Synthetic subjects and the paper's two tasks on them; made once, found again later.

    CE-to-CE registers contrast-enhanced scans with each other; CE-to-NC a moving contrast-enhanced scan with a fixed
    one without contrast agent. Both phases of a subject share one label map of 35 organs.

    Args:
        folder: where the files go.
        protocol: `PAPER`, `SMALL` or another.
        on_progress: told about each subject.

    Raises:
        FileError: the folder holds other scans, or not all of them.
    """
    settings = CohortSettings(
        subjects=protocol.subjects,
        seed=FIRST_SUBJECT,
        spacing_mm=(protocol.spacing_mm,) * 3,
        shape=protocol.shape,
    )
    if folder.is_dir() and contents(folder):
        _require_cohort(folder, settings)
    else:
        write_cohort(folder, settings=settings, on_progress=on_progress)
    numbers = range(FIRST_SUBJECT, FIRST_SUBJECT + protocol.subjects)
    cases = tuple(
        Case(task=f"CE-to-{phase}", fixed=_scan(folder, fixed, phase), moving=_scan(folder, moving, "CE"))
        for phase in ("CE", "NC")
        for fixed, moving in permutations(numbers, 2)
    )
    structures = {
        organ.value: Structure(name=organ.name, group=organ.group) for organ in ORGANS if organ.value is not None
    }
    return checked(Dataset(name="phantom", cases=cases, structures=structures), folder)


def _require_cohort(folder: Path, settings: CohortSettings) -> None:
    """Refuse scans that another protocol made."""
    path = folder / "cohort.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if found != to_plain(settings):
        raise FileError(f"{folder}: holds other scans than those of this protocol; remove it, and they are made anew.")


def _scan(folder: Path, number: int, phase: str) -> Scan:
    name = f"phantom-{number:03d}"
    return Scan(
        name=f"{name}-{phase}",
        image=folder / "images" / f"{name}-{phase}.nii.gz",
        labels=folder / "labels" / f"{name}.nii.gz",
        landmarks=folder / "landmarks" / f"{name}.csv",
    )
