"""Reads one damaged case and says how it ended; every ending but three is a fault."""

import resource
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.format import Format, Unreadable, Value, same_value
from benchmarks.faults.splices import Files, Recipe
from samereg.errors import SameregError

SAME, REFUSED, DIFFERENT = "same", "refused", "different"
WRONG, CRASH, HANG, MEMORY, MUTE = "silent wrong", "crash", "hang", "memory", "mute"
GOOD = (SAME, REFUSED, DIFFERENT)
"""Endings that are allowed; `mute` is a refusal whose sentence does not name the file."""

MAX_MEMORY_BYTES = 256 * 2**20
"""What reading a base of a few kilobytes may need beyond the process, however large its header says it is."""
EXIT_CODES = (2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How one case ended.

    Attributes:
        verdict: one of the words above.
        error: class of the error, if there was one.
        detail: its sentence, or what is wrong.
    """

    verdict: str
    error: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """An undamaged base.

    Attributes:
        files: its bytes.
        value: what samereg reads of it.
        size: bytes in all.
    """

    files: dict[str, bytes]
    value: Value
    size: int = field(default=0)


def judge(
    format: Format, base: Base, recipe: Recipe, folder: Path, *, on_read: Callable[[], None] | None = None
) -> Ending:
    """Read the damaged files of a folder by samereg, and by the other reader where the value differs.

    Args:
        format: of the files.
        base: the same without damage.
        recipe: what was damaged.
        folder: holds the damaged files.
        on_read: called when samereg is done and the other reader begins.
    """
    before = resident_bytes()
    reset_peak()
    value, ending = _read(format, folder, base)
    grown = peak_bytes() - before
    if on_read is not None:
        on_read()
    if grown > MAX_MEMORY_BYTES + 8 * base.size:
        return Ending(verdict=MEMORY, detail=f"{grown / 2**20:.0f} MiB")
    if ending is not None:
        return ending
    assert value is not None
    if same_value(value, base.value):
        return Ending(verdict=SAME)
    return _compare(format, base, recipe, folder, value)


def _read(format: Format, folder: Path, base: Base) -> tuple[Value | None, Ending | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return format.read(folder), None
    except SameregError as error:
        return None, _refusal(error, folder, base.files)
    except Exception as error:  # noqa: BLE001 - whatever a reader lets through is what is looked for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        return None, Ending(verdict=CRASH, error=type(error).__name__, detail=f"{place} {error}"[:300])


def _refusal(error: SameregError, folder: Path, files: Files) -> Ending:
    text, name = str(error), type(error).__name__
    named = str(folder) in text or any(Path(file).name in text for file in files)
    if not named or error.exit_code not in EXIT_CODES:
        return Ending(verdict=MUTE, error=name, detail=text[:300])
    return Ending(verdict=REFUSED, error=name, detail=text[:300])


def _compare(format: Format, base: Base, recipe: Recipe, folder: Path, value: Value) -> Ending:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected: Mapping[str, Any] = format.reference(folder)
    except MemoryError:
        return Ending(verdict=WRONG, detail="the other reader runs out of memory")
    except (Unreadable, Exception) as error:  # noqa: BLE001 - each reader refuses in its own way
        return Ending(verdict=WRONG, detail=f"the other reader refuses it: {type(error).__name__} {error}"[:300])
    if not same_value(value, expected):
        names = [name for name in {*value, *expected} if not same_value(_only(value, name), _only(expected, name))]
        return Ending(verdict=WRONG, detail=f"the other reader reads another {', '.join(sorted(names))}"[:300])
    broken = _beyond_payload(format, base, recipe, value)
    return Ending(verdict=WRONG, detail=broken) if broken else Ending(verdict=DIFFERENT)


def _beyond_payload(format: Format, base: Base, recipe: Recipe, value: Value) -> str:
    """What else changed where only plain numbers were damaged; empty for nothing."""
    payload = format.payload(base.files)
    ranges = [payload.get(splice.file) for splice in recipe.splices]
    inside = all(
        place is not None and splice.view == "raw" and splice.keeps_length and place[0] <= splice.at < place[1]
        for splice, place in zip(recipe.splices, ranges, strict=True)
    )
    if not inside:
        return ""
    for name, before in base.value.items():
        if name != "voxels" and not same_value({name: before}, _only(value, name)):
            return f"damaged voxels changed the {name}"
    touched = sum(splice.size for splice in recipe.splices)
    changed = int(np.sum(np.asarray(value["voxels"]) != np.asarray(base.value["voxels"])))
    return f"{touched} damaged bytes changed {changed} voxels" if changed > touched else ""


def _only(value: Value, name: str) -> Value:
    return {name: value[name]} if name in value else {}


def resident_bytes() -> int:
    """Memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def reset_peak() -> None:
    """Count the largest memory anew from here."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Largest memory since `reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
