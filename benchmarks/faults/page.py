"""The page of results, made of recorded rows alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.disks import COMMANDS, ENVIRONMENTS, FULL_BYTES
from benchmarks.faults.judge import CRASH, DIFFERENT, HANG, MAX_MEMORY_BYTES, MEMORY, MUTE, REFUSED, SAME, WRONG
from benchmarks.faults.kills import WORKS
from benchmarks.faults.long_use import MAX_DIFFERENCE_MM, MAX_GROWTH, REGISTRATIONS, WARM_UP, memory_growth
from benchmarks.faults.records import read_rows
from benchmarks.faults.worker import BY_NAME, LIMIT_S

PARTS = ("files", "kills", "disks", "memory", "repeat")
_COLUMNS = (SAME, REFUSED, DIFFERENT, WRONG, CRASH, HANG, MEMORY, MUTE)
_SHOWN_FAILURES = 40
_EXPLANATION = """\
## {count} damaged files

Each case is an undamaged file with one to three mutations: {kinds}. `field` and `word` put extreme values into fields
of headers and words of text; damage to gzip and zip files is also done to what they hold, with a valid checksum.

**same**: the value of the undamaged file. **refused**: an error of samereg whose sentence names the file ({errors}).
**different**: another value, which an independent reader reads too; where only plain voxels are damaged, the grid is
the same and at most as many voxels differ as bytes. Anything else is a fault: **silent wrong** (another value than the
other reader's, or one that it refuses), **crash** (a signal, or an error of another class), **hang** (over {limit} s),
**memory** (over {memory} MiB more for a file of kilobytes), **mute** (a sentence that does not name the file).

"""
_KILLS = """\
## {count} kills

SIGKILL at a moment drawn evenly from the time that the command takes, again and again over what the last kill left.
Half-written: a file under its final name that is not what an undisturbed run writes, or, for checkpoints, caches and
records, that cannot be read. After every eighth kill the command runs to its end; its files have to have the bytes of
an undisturbed run (of HDF5 files their numbers: the files hold the time of writing; of JSON records everything but
times).

"""
_DISKS = """\
## Disks and surroundings

On a full disk ({size} KiB) and a read-only one, each command has to end with exit code 3, a sentence that names the
file, and nothing left behind. Without a folder for temporary files or a home it has to write the same as with them.

"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a page is about.

    Attributes:
        command: that made it.
        machine: what it ran on.
        version: of samereg.
        folder: of the rows, one file for each part.
    """

    command: str
    machine: str
    version: str
    folder: Path

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Rows of a part."""
        return read_rows(self.folder / f"{part}.jsonl")


def page(run: Run) -> str:
    """The whole page as Markdown; parts that have not run are left out."""
    sections = {"files": _files, "kills": _kills, "disks": _disks, "memory": _memory, "repeat": _repeat}
    parts = [sections[part](run.rows(part)) for part in PARTS if run.rows(part)]
    head = (
        "# When something goes wrong\n\n"
        f"Made by `{run.command}` with samereg {run.version} on {run.machine}; every figure is counted from the "
        "recorded cases.\n"
    )
    return "\n".join([head, *parts]).rstrip() + "\n"


def bars_met(run: Run) -> bool:
    """Whether no damaged file was read wrongly or ended in anything but a sentence, and nothing else failed."""
    bad = sum(row["verdict"] not in (SAME, REFUSED, DIFFERENT) for row in run.rows("files"))
    faults = sum(bool(row["fault"]) for part in ("kills", "disks") for row in run.rows(part))
    grown = run.rows("memory") and memory_growth(run.rows("memory")) > MAX_GROWTH
    repeated = all(not row["differing"] and row["largest_mm"] <= MAX_DIFFERENCE_MM for row in run.rows("repeat"))
    return bad == 0 and faults == 0 and not grown and repeated


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header), *(" | ".join(map(str, row)) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _files(rows: list[dict[str, Any]]) -> str:
    by_format: dict[str, Counter[str]] = {name: Counter() for name in BY_NAME}
    for row in rows:
        by_format[row["format"]][row["verdict"]] += 1
    total = Counter(row["verdict"] for row in rows)
    counted = [(name, sum(counts.values()), *(counts[word] for word in _COLUMNS)) for name, counts in by_format.items()]
    errors = Counter(row["error"] for row in rows if row["verdict"] == REFUSED)
    kinds = Counter(kind for row in rows for kind in row["kinds"])
    text = _EXPLANATION.format(
        count=len(rows),
        kinds=", ".join(f"{kind} ({count})" for kind, count in kinds.most_common()),
        errors=", ".join(f"{name} {count}" for name, count in errors.most_common()),
        limit=f"{LIMIT_S:g}",
        memory=MAX_MEMORY_BYTES // 2**20,
    )
    every = [("**all**", len(rows), *(total[word] for word in _COLUMNS))]
    rules = [(name, format.legitimate) for name, format in BY_NAME.items()]
    return (
        text
        + _table(("format", "cases", *_COLUMNS), [*counted, *every])
        + _failures(rows)
        + "\nWhat may legitimately be read of a damaged file that is not refused:\n\n"
        + _table(("format", "the value has to be"), rules)
    )


def _failures(rows: list[dict[str, Any]]) -> str:
    bad = [row for row in rows if row["verdict"] not in (SAME, REFUSED, DIFFERENT)]
    if not bad:
        return ""
    shown = [
        (row["number"], row["format"], row["verdict"], f"{row['error']} {row['detail']}"[:120].replace("|", "/"))
        for row in bad
    ]
    return f"\nFaults (the first {_SHOWN_FAILURES}):\n\n" + _table(
        ("case", "format", "fault", "detail"), shown[:_SHOWN_FAILURES]
    )


def _cell(text: str) -> str:
    """A text that breaks no table, and tells no path of this machine."""
    return " ".join(word for word in text.replace("|", "/").split() if not word.startswith("/"))[:120]


def _kills(rows: list[dict[str, Any]]) -> str:
    counted = []
    for work in WORKS:
        own = [row for row in rows if row["work"] == work.name]
        kills = [row for row in own if row["event"] == "kill"]
        ends = [row for row in own if row["event"] == "end"]
        faults = (sum(bool(row["fault"]) for row in kills), sum(bool(row["fault"]) for row in ends))
        counted.append((work.name, len(kills), sum(row["finished"] for row in kills), faults[0], len(ends), faults[1]))
    return (
        _KILLS.format(count=sum(row[1] for row in counted))
        + _table(("command", "kills", "had finished", "half-written", "runs to the end", "with other bytes"), counted)
        + _faults(rows, ("work", "event", "number"))
    )


def _faults(rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    bad = [(*(row[name] for name in names), _cell(row["fault"])) for row in rows if row["fault"]]
    return "\nFaults:\n\n" + _table((*names, "fault"), bad) if bad else ""


def _disks(rows: list[dict[str, Any]]) -> str:
    found = {(row["disk"], row["command"]): _word(row) for row in rows}
    names = ["full", "read-only", *ENVIRONMENTS]
    table = [(name, *(found.get((name, command.name), "") for command in COMMANDS)) for name in names]
    return (
        _DISKS.format(size=FULL_BYTES // 1024)
        + _table(("", *(command.name for command in COMMANDS)), table)
        + _faults(rows, ("disk", "command"))
    )


def _word(row: Mapping[str, Any]) -> str:
    return "skipped" if row.get("skipped") else "fault" if row["fault"] else "good"


def _memory(rows: list[dict[str, Any]]) -> str:
    growth = memory_growth(rows)
    points = [
        (row["number"] + 1, f"{row['bytes'] / 2**20:.0f}") for row in rows if row["number"] % WARM_UP == WARM_UP - 1
    ]
    return (
        f"## {REGISTRATIONS} registrations in one process\n\n"
        f"Memory of the process, median of the last {WARM_UP} registrations against the {WARM_UP} after the warm-up: "
        f"{100 * growth:+.2f} % (bound: {100 * MAX_GROWTH:g} %).\n\n" + _table(("registration", "MiB"), points)
    )


def _repeat(rows: list[dict[str, Any]]) -> str:
    row = rows[-1]
    differing = ", ".join(row["differing"]) or "none"
    return (
        "## The same again\n\n"
        f"{row['runs']} registrations of one pair with one seed and one thread; files that differ in their bytes: "
        f"{differing} (HDF5 files by their numbers, records without times). With two threads the transform differs by "
        f"at most {row['largest_mm']:.4f} mm (bound: {MAX_DIFFERENCE_MM:g} mm).\n"
    )
