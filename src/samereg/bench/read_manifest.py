"""Datasets in folders with `manifest.csv`, `pairs.csv` and `labels.csv`."""

import csv
from pathlib import Path

from samereg.bench.dataset import Case, Dataset, Scan, Structure, checked
from samereg.errors import FileError, InputError

PARTLY_CONTOURED = ("esophagus", "oesophagus", "spinal_cord")
"""Structures contoured over part of their length, if `labels.csv` has no column `partial`."""

_YES = ("1", "yes", "true")


def read_manifest(folder: Path) -> Dataset:
    """Reads a dataset from three tables.

    `manifest.csv` (id, image, and where there are any labels, landmarks) names the scans, paths relative to the
    folder; `pairs.csv` (fixed, moving, and optionally set) the ordered pairs; `labels.csv` (value, name, and
    optionally group and partial) the label values. Other columns are ignored.

    Raises:
        FileError: a missing table or file.
        InputError: a missing column, an unknown scan in a pair, or a duplicate.
    """
    manifest = folder / "manifest.csv"
    scans: dict[str, Scan] = {}
    for number, row in enumerate(read_table(manifest, needs=("id", "image")), start=2):
        if not row["id"] or not row["image"]:
            raise InputError(f"{manifest}: line {number} has no id or no image; need both.")
        if row["id"] in scans:
            raise InputError(f"{manifest}: line {number} names the scan '{row['id']}' again; need each id once.")
        scans[row["id"]] = _scan(row, folder)
    cases = []
    for number, row in enumerate(read_table(folder / "pairs.csv", needs=("fixed", "moving")), start=2):
        for side in ("fixed", "moving"):
            if row[side] not in scans:
                where = f"{folder / 'pairs.csv'}: line {number}"
                raise InputError(f"{where} names '{row[side]}', which the manifest does not.")
        cases.append(Case(task=row.get("set") or "all", fixed=scans[row["fixed"]], moving=scans[row["moving"]]))
    structures = _structures(folder / "labels.csv")
    return checked(Dataset(name=folder.resolve().name, cases=tuple(cases), structures=structures), manifest)


def read_table(path: Path, *, needs: tuple[str, ...]) -> list[dict[str, str]]:
    """Reads the rows of a CSV table with a header, as texts by column.

    Raises:
        FileError: missing or not text.
        InputError: missing columns, or no rows.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path}: cannot be read as a comma-separated table: {error}.") from error
    found = tuple(rows[0]) if rows else ()
    missing = [name for name in needs if name not in found]
    if missing:
        has = f"has the columns {', '.join(found)}" if found else "has no rows"
        raise InputError(f"{path}: {has}; need the columns {', '.join(needs)}.")
    return rows


def _scan(row: dict[str, str], folder: Path) -> Scan:
    def there(name: str) -> Path | None:
        return folder / row[name] if row.get(name) else None

    return Scan(
        name=row["id"],
        image=folder / row["image"],
        labels=there("labels"),
        landmarks=there("landmarks"),
        lesions=there("lesions"),
    )


def _structures(path: Path) -> dict[int, Structure]:
    if not path.is_file():
        return {}
    structures: dict[int, Structure] = {}
    for row in read_table(path, needs=("value", "name")):
        partial = row["partial"].lower() in _YES if "partial" in row else row["name"] in PARTLY_CONTOURED
        value, name = row["value"], row["name"]
        if not value.isdigit():
            raise InputError(f"{path}: has the label value {value!r}; need a whole number.")
        if int(value) in structures:
            raise InputError(f"{path}: names the label value {value} twice; need each value once.")
        structures[int(value)] = Structure(name=name, group=row.get("group") or name, partial=partial)
    return structures
