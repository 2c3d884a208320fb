"""Datasets of the Learn2Reg challenge: a folder with `dataset.json`."""

import json
from pathlib import Path
from typing import Any

from samereg.bench.dataset import Case, Dataset, Scan, Structure, checked
from samereg.errors import FileError, InputError
from samereg.io.formats import stem_of
from samereg.io.images import IMAGE_SUFFIXES

_PAIR_LISTS = ("registration_val", "registration_test", "registration_train")


def read_learn2reg(folder: Path) -> Dataset:
    """Reads a dataset folder in the layout of the challenge.

    Pairs are those listed under `registration_val`, `registration_test` and `registration_train`, one task each,
    without the word `registration_`; labels are the files of the same name in `labelsTr` or `labelsTs`, landmarks
    those in `landmarksTr` or `keypointsTr` (voxels of the image, without a header; corresponding by
    order).

    Raises:
        FileError: a missing or damaged `dataset.json`, or a missing image.
        InputError: no pairs in it.
    """
    path = folder / "dataset.json"
    try:
        contents: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read as JSON: {error}.") from error
    if not isinstance(contents, dict):
        raise InputError(f"{path}: is not an object; need the dataset.json of a Learn2Reg dataset.")
    cases = []
    for listing in _PAIR_LISTS:
        for pair in contents.get(listing, []):
            if not isinstance(pair, dict) or not {"fixed", "moving"} <= set(pair):
                raise InputError(f"{path}: has the pair {pair!r} in {listing}; need its fixed and its moving image.")
            fixed, moving = (_scan(folder, str(pair[side]), path) for side in ("fixed", "moving"))
            cases.append(Case(task=listing.removeprefix("registration_"), fixed=fixed, moving=moving))
    if not cases:
        raise InputError(f"{path}: lists no pairs; need one of {', '.join(_PAIR_LISTS)}.")
    name, structures = str(contents.get("name", folder.name)), _structures(contents, path)
    return checked(Dataset(name=name, cases=tuple(cases), structures=structures), path)


def _scan(folder: Path, relative: str, listing: Path) -> Scan:
    image = folder / relative
    if not image.is_file():
        raise FileError(f"{image}: does not exist, but {listing} lists it.")
    name = stem_of(image, IMAGE_SUFFIXES)
    return Scan(
        name=name,
        image=image,
        labels=_beside(image, image.name, folders=("labels",)),
        landmarks=_beside(image, f"{name}.csv", folders=("landmarks", "keypoints")),
    )


def _beside(image: Path, name: str, *, folders: tuple[str, ...]) -> Path | None:
    """The file in the first folder that has it; folder names are derived from that of the images."""
    for folder in folders:
        path = image.parent.parent / image.parent.name.replace("images", folder) / name
        if path.is_file():
            return path
    return None


def _structures(contents: dict[str, Any], listing: Path) -> dict[int, Structure]:
    """Names of the labels, which are one mapping or one per modality."""
    labels = contents.get("labels", {})
    if not isinstance(labels, dict):
        return {}
    nested = [value for value in labels.values() if isinstance(value, dict)]
    flat = nested[0] if nested else labels
    wrong = [value for value in flat if not str(value).isdigit()]
    if wrong:
        raise InputError(f"{listing}: has the label value {wrong[0]!r}; need whole numbers.")
    return {int(value): Structure(name=str(name), group=str(name)) for value, name in flat.items() if int(value) != 0}
