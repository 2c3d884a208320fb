"""Phantom subjects as files."""

import csv
from pathlib import Path

import pytest

from samereg.app.phantoms import PhantomSettings, write_phantoms
from samereg.errors import UsageError
from samereg.io.images import read_labels, read_volume
from samereg.phantom.organs import ORGANS

SMALL = PhantomSettings(subjects=2, seed=3, spacing_mm=(12.0, 12.0, 12.0), shape=(32, 24, 35))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    write_phantoms(folder, settings=SMALL)
    return folder


def test_every_subject_has_both_phases_labels_and_landmarks(cohort: Path) -> None:
    names = {str(path.relative_to(cohort)) for path in cohort.rglob("*") if path.is_file()}
    subjects = ("phantom-003", "phantom-004")
    assert names == {
        "labels.csv",
        "cohort.json",
        *(f"images/{name}-{phase}.nii.gz" for name in subjects for phase in ("CE", "NC")),
        *(f"labels/{name}.nii.gz" for name in subjects),
        *(f"landmarks/{name}.csv" for name in subjects),
    }


def test_images_and_labels_lie_on_one_grid(cohort: Path) -> None:
    image = read_volume(cohort / "images" / "phantom-003-NC.nii.gz")
    labels = read_labels(cohort / "labels" / "phantom-003.nii.gz")
    assert image.grid.is_close(labels.grid)
    assert image.grid.shape == SMALL.shape
    assert image.stored_dtype == "int16"


def test_label_names_are_those_of_the_organs(cohort: Path) -> None:
    with (cohort / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(row["value"]), row["name"]) for row in rows] == [(o.value, o.name) for o in ORGANS]


def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    files = write_phantoms(tmp_path / "again", settings=SMALL)
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (cohort / file).read_bytes(), file


def test_an_existing_folder_is_kept(cohort: Path) -> None:
    with pytest.raises(UsageError):
        write_phantoms(cohort, settings=SMALL)


@pytest.mark.parametrize(
    "settings",
    [
        PhantomSettings(subjects=0),
        PhantomSettings(seed=-1),
        PhantomSettings(shape=(0, 10, 10)),
        PhantomSettings(spacing_mm=(0.0, 1.0, 1.0)),
    ],
)
def test_an_impossible_cohort_is_refused(settings: PhantomSettings, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_phantoms(tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
