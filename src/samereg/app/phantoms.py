"""Writes phantom subjects to files: scans in both phases, labels, landmarks and label names."""

from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.app.progress import OnProgress
from samereg.app.record import write_json
from samereg.errors import UsageError
from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.io.atomic import atomic_directory
from samereg.io.images import write_labels, write_volume
from samereg.io.points import write_table_csv
from samereg.phantom.organs import ORGANS
from samereg.phantom.subject import Subject, make_subject

PHANTOMS_RECORD = "cohort.json"
"""Written last: its presence means that all phantoms are there."""

PHANTOM_FILES = (
    "images/phantom-[0-9][0-9][0-9]*-CE.nii.gz",
    "images/phantom-[0-9][0-9][0-9]*-NC.nii.gz",
    "labels/phantom-[0-9][0-9][0-9]*.nii.gz",
    "landmarks/phantom-[0-9][0-9][0-9]*.csv",
)
"""Patterns of the files of any phantoms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSettings:
    """Settings of phantom subjects: equal settings give identical files.

    Attributes:
        subjects: number of subjects.
        seed: of the first subject; later subjects use consecutive seeds.
        spacing_mm: voxel spacing along (d, h, w).
        shape: voxels along (d, h, w).
    """

    subjects: int = 4
    seed: int = 0
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    shape: tuple[int, int, int] = (192, 144, 208)


def write_phantoms(
    folder: Path,
    *,
    settings: PhantomSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Path, ...]:
    """Generates phantom subjects and writes them to a folder.

    The folder gets `images/phantom-NNN-CE.nii.gz` and `-NC`, `labels/phantom-NNN.nii.gz`,
    `landmarks/phantom-NNN.csv` (name,x,y,z, LPS mm), `labels.csv` and `cohort.json`.

    Args:
        folder: output folder.
        settings: of the subjects.
        overwrite: write into a non-empty folder; subjects of an earlier run are removed.
        on_progress: progress callback, called for each subject.

    Returns:
        The files, relative to the folder.

    Raises:
        UsageError: `folder` exists, or a setting is invalid.
    """
    check_settings(settings)
    grid = centred_grid(settings.shape, settings.spacing_mm)
    with atomic_directory(folder, overwrite=overwrite, ours=PHANTOM_FILES) as place:
        for name in ("images", "labels", "landmarks"):
            (place / name).mkdir()
        for number in range(settings.subjects):
            subject = make_subject(settings.seed + number, grid=grid)
            write_subject(subject, place, name=f"phantom-{settings.seed + number:03d}")
            if on_progress is not None:
                on_progress("making subjects", number + 1, settings.subjects)
        write_label_names(place / "labels.csv")
        write_json(settings, place / PHANTOMS_RECORD)
        return tuple(sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file()))


def centred_grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """Axis-aligned grid centred at the world origin, which is the centre of the phantom's body."""
    z, y, x = (-0.5 * (count - 1) * step_mm for count, step_mm in zip(shape, spacing_mm, strict=True))
    return axis_aligned_grid(shape, spacing_mm, (x, y, z))


def write_subject(subject: Subject, folder: Path, *, name: str) -> None:
    """Writes one subject into the subfolders `images`, `labels` and `landmarks` (those inside the scan)."""
    for phase, volume in subject.volumes.items():
        write_volume(volume, folder / "images" / f"{name}-{phase}.nii.gz")
    write_labels(subject.labels, folder / "labels" / f"{name}.nii.gz")
    points_mm = torch.tensor(list(subject.landmarks_mm.values()), dtype=torch.float64)
    inside = subject.labels.grid.contains(points_mm).tolist()
    rows = [
        [landmark, *(f"{value:.3f}" for value in point_mm)]
        for landmark, point_mm, kept in zip(subject.landmarks_mm, points_mm.tolist(), inside, strict=True)
        if kept
    ]
    write_table_csv(("name", "x", "y", "z"), rows, folder / "landmarks" / f"{name}.csv")


def write_label_names(path: Path) -> None:
    """Writes value, name and group of every organ."""
    write_table_csv(("value", "name", "group"), [[str(organ.value), organ.name, organ.group] for organ in ORGANS], path)


def check_settings(settings: PhantomSettings) -> None:
    """Validates the settings of phantom subjects.

    Raises:
        UsageError: a number is not positive, or the seed is negative.
    """
    if settings.subjects < 1 or settings.seed < 0:
        raise UsageError(
            f"Got {settings.subjects} subjects and seed {settings.seed}; "
            "need at least 1 subject and a seed of 0 or more."
        )
    if min(settings.shape) < 1 or min(settings.spacing_mm) <= 0:
        raise UsageError(f"Got shape {settings.shape} and spacing {settings.spacing_mm} mm; all must be positive.")
