"""Demonstration on a generated synthetic pair, which needs no data."""

from dataclasses import dataclass, replace
from pathlib import Path

from samereg.app.phantoms import centred_grid, write_label_names
from samereg.app.progress import OnProgress
from samereg.app.record import RunRecord, write_json
from samereg.app.registration import register_files
from samereg.app.run_folder import RECORD, RUN_FILES, TRANSFORM
from samereg.app.settings import RegisterSettings
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap
from samereg.image.resample import resample_labels
from samereg.io.atomic import atomic_directory
from samereg.io.images import write_labels, write_volume
from samereg.io.transforms import read_transform
from samereg.metrics.overlap import dice
from samereg.phantom.subject import make_subject

DEMO_SHAPE = (128, 96, 140)
"""Voxels along (d, h, w): the phantom's whole chest, small enough to be generated in seconds."""

DEMO_SPACING_MM = (3.0, 3.0, 3.0)

MARK = "demo.json"
"""Marks a folder as created by the demo, which may overwrite it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoRecord:
    """Result of the demo.

    Attributes:
        dice_before: mean Dice over organs in %, before registration.
        dice_after: mean Dice over organs in %, after registration.
        organs: number of organs in the means.
        files: files written, relative to the output folder.
        registration: the run record of the registration.
    """

    dice_before: float
    dice_after: float
    organs: int
    files: tuple[Path, ...]
    registration: RunRecord


def run_demo(
    output: Path,
    *,
    settings: RegisterSettings,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> DemoRecord:
    """Generates two phantom subjects, registers the non-contrast to the contrast-enhanced one, and evaluates.

    Args:
        output: output folder; one of an earlier demo is overwritten.
        settings: of the registration; its seed also determines the subjects.
        overwrite: write into `output` whatever it contains.
        on_progress: told about each step.

    Raises:
        UsageError: `output` exists and was not created by the demo.
    """
    ours = [f"registration/{name}" for name in RUN_FILES]
    again = overwrite or (output / MARK).is_file()
    with atomic_directory(output, overwrite=again, ours=ours) as folder:
        fixed, moving = write_pair(folder, seed=settings.seed)
        found = register_files(
            folder / "fixed.nii.gz",
            folder / "moving.nii.gz",
            folder / "registration",
            settings=settings,
            on_progress=on_progress,
        )
        record = _at_its_place(found.record, output)
        write_json(record, folder / "registration" / RECORD)
        transform = read_transform(folder / "registration" / TRANSFORM)
        before = organ_dice(fixed, moving, Affine.identity())
        after = organ_dice(fixed, moving, transform)
        result = DemoRecord(
            dice_before=100 * sum(before.values()) / len(before),
            dice_after=100 * sum(after.values()) / len(after),
            organs=len(after),
            files=tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())),
            registration=record,
        )
        write_json(result, folder / MARK)
    return result


def _at_its_place(record: RunRecord, output: Path) -> RunRecord:
    """The record with the final paths of the scans."""
    fixed, moving = (output.absolute() / name for name in ("fixed.nii.gz", "moving.nii.gz"))
    return replace(record, fixed=replace(record.fixed, path=fixed), moving=replace(record.moving, path=moving))


def write_pair(folder: Path, *, seed: int) -> tuple[LabelMap, LabelMap]:
    """Writes scans and labels of two subjects, contrast-enhanced and non-contrast, and returns their labels."""
    grid = centred_grid(DEMO_SHAPE, DEMO_SPACING_MM)
    first, second = (make_subject(number, grid=grid) for number in (2 * seed, 2 * seed + 1))
    write_volume(first.volumes["CE"], folder / "fixed.nii.gz")
    write_volume(second.volumes["NC"], folder / "moving.nii.gz")
    write_labels(first.labels, folder / "fixed_labels.nii.gz")
    write_labels(second.labels, folder / "moving_labels.nii.gz")
    write_label_names(folder / "labels.csv")
    return first.labels, second.labels


def organ_dice(fixed: LabelMap, moving: LabelMap, transform: Transform) -> dict[int, float]:
    """Dice of each organ in both label maps, with the moving labels resampled by nearest neighbour."""
    moved = resample_labels(moving, transform, fixed.grid)
    both = set(fixed.data.unique().tolist()) & set(moving.data.unique().tolist())
    scores = dice(fixed.data, moved.data)
    return {value: scores.get(value, 0.0) for value in sorted(both - {0})}
