"""One page of many pairs: pictures before and after, the worst first, with a filter; it needs no network."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from math import isnan
from pathlib import Path
from string import Template
from urllib.parse import quote

from samereg._version import __version__
from samereg.app.pairs.record import PairRecord
from samereg.app.pairs.summary import SUMMARY, write_summary
from samereg.app.run_folder import RECORD, REPORT
from samereg.app.verdict import LEVELS
from samereg.io.atomic import atomic_file
from samereg.report.pair_pictures import AFTER, BEFORE

INDEX = "index.html"

KINDS = ("error", *reversed(LEVELS))
"""What can come of a pair, the worst first; `error` is no registration."""


def publish(output: Path, records: Sequence[PairRecord], total: int) -> None:
    """Write the table and the page of what there is so far.

    Args:
        output: folder of the run folders.
        records: in the order of the pairs.
        total: how many pairs there are, those included that are still to be done.

    Raises:
        FileError: they cannot be written.
    """
    write_summary(records, output / SUMMARY)
    with atomic_file(output / INDEX) as temporary:
        temporary.write_bytes(pairs_page(records, total).encode("utf-8", errors="backslashreplace"))


def pairs_page(records: Sequence[PairRecord], total: int) -> str:
    """The page as HTML text; pictures and reports are linked by their places beside it."""
    counts = {kind: sum(kind_of(each) == kind for each in records) for kind in KINDS}
    boxes = "".join(
        f'<label class="check"><input type="checkbox" data-kind="{kind}" checked> {kind} ({count})</label>'
        for kind, count in counts.items()
    )
    left = f", {total - len(records)} still to be registered" if total > len(records) else ""
    return Template(_part("pairs.html")).substitute(
        version=__version__,
        style=_part("style.css"),
        title=f"{len(records)} pairs{left}",
        summary=SUMMARY,
        boxes=boxes,
        rows="\n".join(_row(each) for each in worst_first(records)),
    )


def worst_first(records: Sequence[PairRecord]) -> list[PairRecord]:
    """Pairs without a registration, then by verdict, then by similarity, lowest first."""
    return sorted(records, key=lambda each: (KINDS.index(kind_of(each)), _similarity(each)))


def kind_of(record: PairRecord) -> str:
    """What came of a pair, as of `KINDS`."""
    return record.verdict or "error"


def _similarity(record: PairRecord) -> float:
    value = record.quality.similarity if record.quality is not None else float("nan")
    return -1.0 if isnan(value) else value


def _row(record: PairRecord) -> str:
    place, kind = quote(record.name), kind_of(record)
    lamp = "failed" if kind == "error" else kind
    pictures = "".join(
        f'<td><img src="{place}/{name}" alt="{alt}" loading="lazy"></td>' if name in record.files else "<td></td>"
        for name, alt in ((BEFORE, "before"), (AFTER, "after"))
    )
    link = next((f'<a href="{place}/{name}">{name}</a>' for name in (REPORT, RECORD) if name in record.files), "")
    return (
        f'<tr data-kind="{kind}"><th><span class="lamp {lamp}"></span>{escape(record.name)}'
        f'<p class="hint">{kind}{": " + escape(record.reason) if record.reason else ""}</p>{link}</th>'
        f"{pictures}<td>{_figures(record)}</td></tr>"
    )


def _figures(record: PairRecord) -> str:
    quality = record.quality
    if quality is None:
        return ""
    facts = [
        ("similarity", f"{quality.similarity:.2f}"),
        ("overlap", f"{100 * quality.overlap_fraction:.0f} %"),
        ("folded", f"{100 * quality.folded_fraction:.3f} %"),
    ]
    if record.dice is not None and record.dice_before is not None:
        facts.append(("Dice", f"{100 * record.dice_before:.0f} % to {100 * record.dice:.0f} %"))
    if record.seconds is not None:
        facts.append(("registering", f"{record.seconds.registering:.1f} s"))
    return "<br>".join(f"<span class='quiet'>{name}</span> {value}" for name, value in facts)


def _part(name: str) -> str:
    return files("samereg.report").joinpath("page", name).read_text(encoding="utf-8")
