"""The three ways to say which pairs: a table, one reference for all, or all with all."""

from pathlib import Path

from samereg.app.pairs.pair import Scan, ScanPair, pairs_of_all, pairs_to_reference
from samereg.app.pairs.table import read_pairs, require_scan
from samereg.app.scans import find_scans
from samereg.errors import FileError, UsageError

WAYS = "--pairs CSV, --reference CT with --data DIR, or --all-to-all DIR"


def choose_pairs(
    table: Path | None, reference: Path | None, data: Path | None, all_to_all: Path | None
) -> tuple[ScanPair, ...]:
    """Pairs of the one way that is used.

    Args:
        table: CSV file of pairs.
        reference: fixed scan of all pairs.
        data: scans to register onto it, as of `find_scans`.
        all_to_all: scans to register onto each other, as of `find_scans`.

    Raises:
        UsageError: none or several ways, or scans whose names cannot be told apart.
        InputError: a table with something wrong in it.
        FileError: a scan or folder that is not there.
    """
    if (reference is None) != (data is None):
        given, missing = ("--data", "--reference") if reference is None else ("--reference", "--data")
        raise UsageError(f"Got {given} without {missing}; need both.")
    used = [way for way in (table, reference, all_to_all) if way is not None]
    if len(used) != 1:
        raise UsageError(f"Got {len(used)} ways to say which pairs; need one of {WAYS}.")
    if table is not None:
        return read_pairs(table)
    if all_to_all is not None:
        return pairs_of_all(_absolute(find_scans(all_to_all)))
    if reference is None or data is None:
        raise UsageError(f"Need one of {WAYS}.")
    if not reference.exists():
        raise FileError(f"{reference}: does not exist; need the scan that all others are registered with.")
    require_scan(reference)
    return pairs_to_reference(Scan(path=reference.absolute()), _absolute(find_scans(data)))


def _absolute(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path.absolute() for path in paths)
